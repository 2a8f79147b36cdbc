// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_FRAME_VECTOR_H_
#define FRAMEVEC_FRAME_VECTOR_H_

#include <cstddef>
#include <cstdint>

#include "handle_table.h"
#include "region.h"
#include "results.h"
#include "unique_fd.h"
#include "view.h"

namespace framevec {

// A flag of Pin() that the kernel never sees: a range that shares pages with others will do.
constexpr uint32_t kPinUnaligned = 1u << 31;

// A vector: its descriptor, which holds the frames, and the region that they are in, if it is ours.
struct FrameVector {
  // Closing the descriptor lets the frames go, so it comes before the memory in ~FrameVector().
  RegionPin region;
  UniqueFd fd;
  uint32_t capacity = 0;
};

// The vectors of an environment. Each call makes one syscall, and answers as results.h tells.
class FrameVectorTable {
 public:
  FrameVectorTable(size_t page_size, RegionTable* regions, Results* results)
      : page_size_(page_size), regions_(regions), results_(results) {}

  // The new vector's handle.
  int Create(int device, uint64_t capacity);
  // The number of frames held. A region is the handle of the one that the view must lie in, or -1.
  int Pin(int32_t handle, const View& view, int32_t region, uint32_t flags);
  // The number of frames that were held.
  int Unpin(int32_t handle, uint32_t flags);
  int Stat(int32_t handle);
  // Has the kernel write count frame numbers, from the first on, to where `into` points.
  int ReadPfns(int32_t handle, const View& into, uint64_t first, uint64_t count);
  int Close(int32_t handle);
  int Descriptor(int32_t handle);

 private:
  size_t page_size_;
  RegionTable* regions_;
  Results* results_;
  HandleTable<FrameVector> vectors_;
};

}  // namespace framevec

#endif  // FRAMEVEC_FRAME_VECTOR_H_
