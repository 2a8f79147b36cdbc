// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_FRAME_VECTOR_H_
#define FRAMEVEC_FRAME_VECTOR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../kmod/uapi/framevec.h"
#include "descriptors.h"
#include "exchange.h"
#include "handle_table.h"
#include "poll.h"
#include "region.h"
#include "unique_fd.h"
#include "view.h"

namespace framevec {

// A flag of Pin() that the kernel never sees: a range that shares pages with others will do. The
// highest that is still a small integer to V8.
constexpr uint32_t kPinUnaligned = 1U << 30;

// A vector: its descriptor, which holds the frames, and the region that they are in, if it is ours.
//
// Between calls, whether they succeeded or failed: `region` is held while the vector holds frames
// of it, as far as this process knows (another holder of the descriptor may have unpinned them:
// UNPIN then fails with ENODATA, and the region is released); `watch` polls at most one snapshot,
// and ends with it; `busy` is set from the start of a PinJob to its end, and at no other time. A
// pin that fails changes none of them.
struct FrameVector {
  // Closing the descriptor lets the frames go, so it comes before the memory in ~FrameVector().
  RegionPin region;
  UniqueFd fd;
  // What polls a descriptor ends before it.
  Poll::Owner watch;
  uint32_t capacity = 0;
  // Descriptors knows it.
  bool noted = false;
  // A PinJob uses the descriptor.
  bool busy = false;
};

// A pin, from what it was asked to what came of it.
struct PinCall {
  FrameVector* vector = nullptr;
  int32_t handle = -1;
  int fd = -1;
  Region* region = nullptr;
  uint64_t frames_asked = 0;
  framevec_pin pin{};
  int error = 0;

  // The syscall, which needs neither JavaScript nor its thread.
  void Make();
};

// The vectors of an environment. Each call makes one syscall, and answers as exchange.h tells.
class FrameVectorTable {
 public:
  FrameVectorTable(size_t page_size, RegionTable* regions, Exchange* exchange)
      : page_size_(page_size),
        page_shift_(__builtin_ctzl(page_size)),
        regions_(regions),
        exchange_(exchange) {}

  ~FrameVectorTable();
  FrameVectorTable(const FrameVectorTable&) = delete;
  FrameVectorTable& operator=(const FrameVectorTable&) = delete;

  // The new vector's handle.
  int Create(int device, uint64_t capacity);
  // Pins a view of memory in REGION, or of memory that is not ours (-1), with the vector HANDLE and
  // FLAGS of the exchange. The number of frames held.
  int Pin(const View& view);
  // Its halves, for a PinJob: 0 or a refusal, and the number of frames held or -errno.
  int Prepare(const View& view, PinCall* call);
  int Finish(const PinCall& call);
  FrameVector* Find(int32_t handle) { return vectors_.Find(handle); }
  // Unpins HANDLE with FLAGS. The number of frames that were held.
  int Unpin();
  int Stat(int32_t handle);
  // Has the kernel write count frame numbers, from the first on, to where `into` points.
  int ReadPfns(int32_t handle, const View& into, uint64_t first, uint64_t count);
  // Has the kernel write runs of frames, from frame `first` on, to where `counts` points, and their
  // first frame numbers to `pfns` unless that is empty. The number of runs; FRAME is where to go
  // on.
  int Extents(int32_t handle, const View& pfns, const View& counts, uint64_t first);
  // The same frames as the other kind: FRAMEVEC_IOC_TO_PAGES or _TO_PFNS. If it fails, REASON and
  // FRAME tell why and where.
  int Convert(int32_t handle, unsigned long request);
  // Copies from the frames, or to them, as a device would; LENGTH is how much, less than the view
  // has at the end of the range. Goes on where a signal has cut it short.
  int Read(int32_t handle, const View& into, uint64_t position);
  int Write(int32_t handle, const View& from, uint64_t position);
  // Calls stale(status) once the vector's snapshot has gone stale; nobody is called after an unpin.
  int Watch(napi_env env, int32_t handle, Napi::Function stale);
  // kREFUSED_LOST if its descriptor was not its own any more: that is left alone, and the vector is
  // gone all the same.
  int Close(int32_t handle);
  int Descriptor(int32_t handle);

 private:
  // Of a framevec_create or a framevec_pin: they tell of RLIMIT_MEMLOCK by the same names.
  template <typename T>
  void SetMemlock(const T& told) {
    exchange_->Set(kMEMLOCK_SCOPE, told.memlock_scope);
    exchange_->Set(kMEMLOCK_NEED, uint64_t{told.memlock_need});
    exchange_->Set(kMEMLOCK_USED, uint64_t{told.memlock_used});
    exchange_->Set(kMEMLOCK_LIMIT, uint64_t{told.memlock_limit});
  }
  // Whether the descriptor still is the vector's: it is asked before bytes are copied and before it
  // is closed, and after every error.
  bool Has(const FrameVector& vector) const {
    return descriptors_.Has(vector.fd.get(), vector.noted);
  }
  // -error, unless the error is that the descriptor is not the vector's any more.
  int Failed(const FrameVector& vector, int error) const {
    return Has(vector) ? -error : int{kREFUSED_LOST};
  }

  size_t page_size_;
  int page_shift_;
  RegionTable* regions_;
  Exchange* exchange_;
  Descriptors descriptors_;
  HandleTable<FrameVector> vectors_;
  // The handle that each descriptor's number was last given to.
  std::vector<int32_t> by_number_;
};

}  // namespace framevec

#endif  // FRAMEVEC_FRAME_VECTOR_H_
