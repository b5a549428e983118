/* Our own Winograd's way behind the face of a primitive. */
#include "base/error.h"
#include "base/memory.h"
#include "engine/onednn/primitive_parts.h"

static sap_status new_primitive(const sap__winograd_kernels *kernels, const sap__winograd *plan, sap__primitive **out,
                                sap_error *err) {
  sap__primitive *p = *out = sap__calloc(1, sizeof *p);
  if (!p) return sap__fail(err, SAP_ERROR_MEMORY, "no memory for a convolution");
  p->kernels = kernels;
  p->winograd = *plan;
  p->name = kernels->name;
  return SAP_OK;
}

static void run(const sap__primitive *p, const sap__conv_operands *o, void *scratch) {
  float *bias = p->winograd.has_bias ? o->bias : NULL;
  if (p->winograd.pass == SAP__CONV_FORWARD)
    p->kernels->run(&p->winograd, o->x, o->w, bias, o->y, scratch);
  else if (p->winograd.pass == SAP__CONV_BACKWARD_DATA)
    p->kernels->run(&p->winograd, o->y, o->w, bias, o->x, scratch);
  else
    p->kernels->gradients(&p->winograd, o->x, o->y, o->w, bias, scratch);
}

sap_status sap__winograd_conv(const sap__conv_problem *problem, sap__conv_pass pass, sap__primitive **out,
                              sap_error *err) {
  const sap__winograd_kernels *kernels = sap__winograd_active(problem->x.bytes);
  sap__winograd plan;
  *out = NULL;
  if (!kernels || !sap__winograd_plan(&plan, kernels, problem, pass)) return SAP_OK;
  sap_status status = new_primitive(kernels, &plan, out, err);
  if (status) return status;
  (*out)->run = run;
  (*out)->scratch = plan.scratch_bytes;
  (*out)->weight_bytes = plan.weight_bytes;
  return SAP_OK;
}

sap_status sap__winograd_copy_of(const sap__primitive *p, sap__primitive **copy, sap_error *err) {
  return new_primitive(p->kernels, &p->winograd, copy, err);
}

void sap__winograd_copy(const sap__primitive *copy, const void *from, void *to) {
  if (copy->winograd.pass == SAP__CONV_BACKWARD_WEIGHTS)
    copy->kernels->weights_out(&copy->winograd, from, to);
  else
    copy->kernels->weights_in(&copy->winograd, from, to);
}
