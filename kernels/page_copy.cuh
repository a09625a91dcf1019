// The kernel that moves a batch of pages; what a batch is: page_batch.hpp.
#pragma once

#include <cuda_runtime.h>

#include "page_batch.hpp"

namespace lmcache::kernels {

enum class PageDirection { kPack, kUnpack };  ///< pages -> buffer, buffer -> pages

/// Enqueues the batch on `stream` with `blocks` thread blocks of kThreads; never synchronises.
/// Pointers and ids are taken as they are: the caller has checked them.
[[nodiscard]] cudaError_t launch_page_copy(const PageBatch& batch, PageDirection direction,
                                           unsigned blocks, cudaStream_t stream);

/// Loads the kernels into the current context. A first launch would do it too, but waits for all
/// work of the context.
[[nodiscard]] cudaError_t load_page_copy();

/// An empty kernel: the processes of a GPU take turns, and a turn of ours that begins now is there
/// when the next kernel needs it.
[[nodiscard]] cudaError_t launch_nothing(cudaStream_t stream);

}  // namespace lmcache::kernels
