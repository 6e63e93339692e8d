// Everything once for one instruction set, which the compiler's flags and REGARD_ISA name.
#include "backward.h"
#include "forward.h"
#include "grid_backward.h"
#include "grid_forward.h"

#define REGARD_TEXT_OF(name) #name
#define REGARD_TEXT(name) REGARD_TEXT_OF(name)

namespace regard {

#define REGARD_JOIN_OF(a, b) a##b
#define REGARD_JOIN(a, b) REGARD_JOIN_OF(a, b)

Kernels REGARD_JOIN(kernels_, REGARD_ISA)() {
  namespace isa = REGARD_ISA;
  return {REGARD_TEXT(REGARD_ISA), isa::forward,      isa::backward,      isa::weights,
          isa::row_runs,           isa::grid_forward, isa::grid_backward, isa::grid_runs};
}

}  // namespace regard
