/* SAP_BODY, a header of functions named TYPED(name), for float and for bf16 elements: name_f32 and name_bf16. */
#define LANES_BF16 0
#define TYPED(name) name##_f32
#include SAP_BODY
#undef LANES_BF16
#undef TYPED
#define LANES_BF16 1
#define TYPED(name) name##_bf16
#include SAP_BODY
#undef LANES_BF16
#undef TYPED
