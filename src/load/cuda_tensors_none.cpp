// Built without CUDA.
#include "load/tensor_memory.hpp"

namespace lmcache::load {

MakeTensors cuda_tensors() {
  return nullptr;
}

}  // namespace lmcache::load
