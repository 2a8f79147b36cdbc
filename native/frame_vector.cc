// SPDX-License-Identifier: MIT
#include "frame_vector.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace framevec {

int FrameVectorTable::Create(int device, uint64_t capacity) {
  framevec_create create{};
  create.size = sizeof create;
  create.capacity = capacity;
  if (ioctl(device, FRAMEVEC_IOC_CREATE, &create) < 0) {
    const int error = errno;
    SetMemlock(create);
    return -error;
  }
  FrameVector vector;
  vector.fd = UniqueFd(create.fd);
  vector.capacity = static_cast<uint32_t>(capacity);
  vector.noted = descriptors_.Note(create.fd);
  const auto number = static_cast<size_t>(create.fd);
  if (by_number_.size() <= number) by_number_.resize(number + 1, -1);
  // A vector that had this number has lost it: nothing may go through it to this one.
  FrameVector* before = vectors_.Find(by_number_[number]);
  if (before != nullptr && before->fd.get() == create.fd) before->fd.Release();
  const int32_t handle = vectors_.Insert(std::move(vector));
  if (handle < 0) return -ENFILE;
  by_number_[number] = handle;
  return handle;
}

FrameVectorTable::~FrameVectorTable() {
  vectors_.ForEach([this](FrameVector& vector) {
    if (!Has(vector)) vector.fd.Release();
  });
}

int FrameVectorTable::Pin(const View& view) {
  PinCall call;
  const int refused = Prepare(view, &call);
  if (refused != 0) return refused;
  call.Make();
  return Finish(call);
}

int FrameVectorTable::Prepare(const View& view, PinCall* call) {
  const auto handle = exchange_->Get<int32_t>(kHANDLE);
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  if (view.length == 0) return kREFUSED_EMPTY;
  const auto flags = exchange_->Get<uint32_t>(kFLAGS);

  Region* region = nullptr;
  bool ends_region = false;
  const auto region_handle = exchange_->Get<int32_t>(kREGION);
  if (region_handle >= 0) {
    region = regions_->Find(region_handle);
    if (region == nullptr || region->closed()) return kREFUSED_CLOSED;
    if (!region->Contains(view.address, view.length)) return kREFUSED_FOREIGN;
    // What follows in the last page of a region is nobody's.
    ends_region = view.address + view.length == region->address() + region->length();
  }

  const size_t in_page = page_size_ - 1;
  const size_t offset = view.address & in_page;
  const uint64_t frames = (offset + view.length + in_page) >> page_shift_;
  exchange_->Set(kADDRESS, uint64_t{view.address});
  exchange_->Set(kLENGTH, uint64_t{view.length});
  exchange_->Set(kFRAMES_ASKED, frames);
  if ((flags & kPinUnaligned) == 0 &&
      (offset != 0 || (((view.address + view.length) & in_page) != 0 && !ends_region))) {
    return kREFUSED_UNALIGNED;
  }
  if (frames > vector->capacity) return kREFUSED_CAPACITY_EXCEEDED;

  call->vector = vector;
  call->handle = handle;
  call->fd = vector->fd.get();
  call->region = region;
  call->frames_asked = frames;
  call->pin.size = sizeof call->pin;
  call->pin.flags = flags & ~kPinUnaligned;
  call->pin.addr = view.address;
  call->pin.length = view.length;
  return 0;
}

void PinCall::Make() { error = ioctl(fd, FRAMEVEC_IOC_PIN, &pin) < 0 ? errno : 0; }

int FrameVectorTable::Finish(const PinCall& call) {
  const framevec_pin& pin = call.pin;
  // Once more: after a job another pin's may stand there.
  exchange_->Set(kADDRESS, uint64_t{pin.addr});
  exchange_->Set(kLENGTH, uint64_t{pin.length});
  exchange_->Set(kFRAMES_ASKED, call.frames_asked);
  exchange_->Set(kREASON, pin.reason);
  if (pin.reason != FRAMEVEC_REASON_NONE) {
    exchange_->Set(kFAIL_ADDRESS, uint64_t{pin.fail_addr});
    SetMemlock(pin);
  }
  if (call.error != 0) return Failed(*call.vector, call.error);
  // Only now: a vector that holds frames already, and says EBUSY, keeps its hold. A snapshot does
  // not keep its memory from being closed: it goes stale, as by any other unmap.
  call.vector->region.Hold(call.region, pin.kind == FRAMEVEC_KIND_PAGES);
  exchange_->Set(kKIND, pin.kind);
  exchange_->Set(kOFFSET, pin.offset);
  if ((pin.flags & FRAMEVEC_PIN_TIMING) != 0) {
    exchange_->Set(kGUP_NS, uint64_t{pin.gup_ns});
    exchange_->Set(kCALL_NS, uint64_t{pin.call_ns});
  }
  return static_cast<int>(pin.frames);
}

int FrameVectorTable::Unpin() {
  FrameVector* vector = vectors_.Find(exchange_->Get<int32_t>(kHANDLE));
  if (vector == nullptr) return kREFUSED_CLOSED;
  const auto flags = exchange_->Get<uint32_t>(kFLAGS);
  framevec_unpin unpin{};
  unpin.size = sizeof unpin;
  unpin.flags = flags;
  const int error = ioctl(vector->fd.get(), FRAMEVEC_IOC_UNPIN, &unpin) < 0 ? errno : 0;
  if (error == 0 || (error == ENODATA && Has(*vector))) {
    vector->region.Release();
    vector->watch.reset();
  }
  if (error != 0) return Failed(*vector, error);
  if ((flags & FRAMEVEC_UNPIN_TIMING) != 0) {
    exchange_->Set(kGUP_NS, uint64_t{unpin.gup_ns});
    exchange_->Set(kCALL_NS, uint64_t{unpin.call_ns});
  }
  return static_cast<int>(unpin.frames);
}

int FrameVectorTable::Stat(int32_t handle) {
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  framevec_stat stat{};
  stat.size = sizeof stat;
  if (ioctl(vector->fd.get(), FRAMEVEC_IOC_STAT, &stat) < 0) return Failed(*vector, errno);
  exchange_->Set(kKIND, stat.kind);
  exchange_->Set(kSTATE, stat.state);
  exchange_->Set(kCAPACITY, stat.capacity);
  exchange_->Set(kFRAMES, stat.frames);
  exchange_->Set(kOFFSET, stat.offset);
  exchange_->Set(kLENGTH, uint64_t{stat.length});
  return 0;
}

int FrameVectorTable::ReadPfns(int32_t handle, const View& into, uint64_t first, uint64_t count) {
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  // lib/ counts by the same view; JavaScript that lies to it must not make the kernel write beyond.
  if (count > into.length / sizeof(uint64_t)) return kREFUSED_BAD_ARGUMENT;
  framevec_read_pfns read{};
  read.size = sizeof read;
  read.first = first;
  read.count = count;
  read.pfns = into.address;
  if (ioctl(vector->fd.get(), FRAMEVEC_IOC_READ_PFNS, &read) < 0) return Failed(*vector, errno);
  return static_cast<int>(count);
}

int FrameVectorTable::Extents(int32_t handle, const View& pfns, const View& counts,
                              uint64_t first) {
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  framevec_extents extents{};
  extents.size = sizeof extents;
  extents.first = first;
  extents.capacity = counts.length / sizeof(uint32_t);
  extents.pfns = pfns.address;
  extents.counts = counts.address;
  if (pfns.address != 0 && extents.capacity > pfns.length / sizeof(uint64_t)) {
    return kREFUSED_BAD_ARGUMENT;
  }
  if (ioctl(vector->fd.get(), FRAMEVEC_IOC_EXTENTS, &extents) < 0) return Failed(*vector, errno);
  exchange_->Set(kFRAME, uint64_t{extents.next});
  return static_cast<int>(extents.extents);
}

int FrameVectorTable::Convert(int32_t handle, unsigned long request) {
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  framevec_convert convert{};
  convert.size = sizeof convert;
  const int error = ioctl(vector->fd.get(), request, &convert) < 0 ? errno : 0;
  exchange_->Set(kREASON, convert.reason);
  exchange_->Set(kFRAME, uint64_t{convert.frame});
  return error == 0 ? 0 : Failed(*vector, error);
}

int FrameVectorTable::Read(int32_t handle, const View& into, uint64_t position) {
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  if (!Has(*vector)) return kREFUSED_LOST;
  size_t done = 0;
  while (done < into.length) {
    const ssize_t n = pread(vector->fd.get(), reinterpret_cast<void*>(into.address + done),
                            into.length - done, static_cast<off_t>(position + done));
    if (n < 0 && done == 0) return Failed(*vector, errno);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  exchange_->Set(kLENGTH, uint64_t{done});
  return 0;
}

int FrameVectorTable::Write(int32_t handle, const View& from, uint64_t position) {
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  if (!Has(*vector)) return kREFUSED_LOST;
  size_t done = 0;
  while (done < from.length) {
    const ssize_t n = pwrite(vector->fd.get(), reinterpret_cast<const void*>(from.address + done),
                             from.length - done, static_cast<off_t>(position + done));
    if (n < 0 && done == 0) return Failed(*vector, errno);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  exchange_->Set(kLENGTH, uint64_t{done});
  return 0;
}

int FrameVectorTable::Watch(napi_env env, int32_t handle, Napi::Function stale) {
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  if (!Has(*vector)) return kREFUSED_LOST;
  int error = 0;
  vector->watch = Poll::Make(env, vector->fd.get(), Poll::Loop::kLetEnd, &error);
  return vector->watch == nullptr ? error : vector->watch->Wait(UV_PRIORITIZED, stale);
}

int FrameVectorTable::Close(int32_t handle) {
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  if (vector->busy) return -EBUSY;
  const bool has = Has(*vector);
  if (!has) vector->fd.Release();
  vectors_.Remove(handle);
  return has ? 0 : int{kREFUSED_LOST};
}

int FrameVectorTable::Descriptor(int32_t handle) {
  FrameVector* vector = vectors_.Find(handle);
  if (vector == nullptr) return kREFUSED_CLOSED;
  return Has(*vector) ? vector->fd.get() : int{kREFUSED_LOST};
}

}  // namespace framevec
