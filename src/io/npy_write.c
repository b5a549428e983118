/* One tensor as a .npy file. */
#include "base/error.h"
#include "io/file.h"
#include "io/npy.h"

sap_status sap_npy_write(const char *path, const sap_tensor *tensor, sap_error *err) {
  char header[512];
  size_t length = sap__npy_header(tensor, header);
  if (length == 0)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: NumPy has no type for %s", sap__path_tail(path),
                     sap_dtype_name(tensor->dtype));
  sap__atomic file;
  sap_status status = sap__atomic_open(&file, path, err);
  if (status) return status;
  status = sap__atomic_write(&file, header, length, err);
  if (!status) status = sap__atomic_write(&file, tensor->data, (size_t)tensor->bytes, err);
  if (!status) status = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  return status;
}
