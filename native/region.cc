// SPDX-License-Identifier: MIT
#include "region.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "unique_fd.h"

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

namespace framevec {
namespace {

constexpr size_t k2M = size_t{1} << 21;
constexpr size_t k1G = size_t{1} << 30;
constexpr int kMapHugeMask = 0x3f << MAP_HUGE_SHIFT;

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

Mapping Map(size_t length, int prot, int flags, int fd, off_t offset) {
  void* memory = mmap(nullptr, length, prot, flags, fd, offset);
  return memory == MAP_FAILED ? Mapping() : Mapping(memory, length);
}

// A mapping whose start is aligned, or none and errno. Only THP needs it: MAP_HUGETLB aligns by
// itself.
Mapping MapAligned(size_t length, size_t alignment, int flags, int fd) {
  const int prot = PROT_READ | PROT_WRITE;
  if (alignment == 0) return Map(length, prot, flags, fd, 0);
  void* wide = mmap(nullptr, length + alignment, prot, flags, fd, 0);
  if (wide == MAP_FAILED) return Mapping();
  const auto start = reinterpret_cast<uintptr_t>(wide);
  const uintptr_t aligned = RoundUp(start, alignment);
  const size_t before = aligned - start;
  if (before > 0) munmap(wide, before);
  munmap(reinterpret_cast<void*>(aligned + length), alignment - before);
  return Mapping(reinterpret_cast<void*>(aligned), length);
}

// The page size of a file: munmap() of hugetlbfs takes whole huge pages only.
size_t PageSizeOf(int fd, size_t usual) {
  struct statfs of {};
  if (fstatfs(fd, &of) != 0 || of.f_type != HUGETLBFS_MAGIC) return usual;
  return static_cast<size_t>(of.f_bsize);
}

}  // namespace

RegionRef::RegionRef(Region* region) : region_(region) {
  if (region_ != nullptr) ++region_->references_;
}

void RegionRef::Reset() {
  Region* region = std::exchange(region_, nullptr);
  if (region != nullptr && --region->references_ == 0) delete region;
}

void RegionPin::Hold(Region* region, bool pins) {
  Release();
  if (region == nullptr) return;
  reference_ = RegionRef(region);
  pins_ = pins;
  if (pins) ++region->pins_;
}

void RegionPin::Release() {
  if (reference_.get() == nullptr) return;
  Region* region = reference_.get();
  if (std::exchange(pins_, false) && --region->pins_ == 0 && region->closed_) region->GiveBack();
  reference_.Reset();
}

void Region::GiveBack() {
  if (!unseen_) {
    mapping_.Replace();
    return;
  }
  // Before the addresses are free: the next mapping may get them.
  Leave();
  mapping_.Unmap();
}

void Region::Leave() {
  RegionTable* table = std::exchange(table_, nullptr);
  if (table == nullptr) return;
  table->by_address_.erase(mapping_.address());
  table->regions_.Remove(handle_);
}

// A backing store's hold on its region.
struct RegionTable::Store {
  explicit Store(Region* held) : region(held) {}

  RegionRef region;
  bool making = true;
};

RegionTable::~RegionTable() {
  // Finalizers of backing stores have run by now. Should one run later, it finds its region, but
  // no table.
  while (!by_address_.empty()) {
    Region* region = by_address_.begin()->second;
    by_address_.erase(by_address_.begin());
    region->table_ = nullptr;
    region->owner_.Reset();
  }
}

void RegionTable::FinalizeStore(napi_env, void*, void* hint) {
  auto* store = static_cast<Store*>(hint);
  // Node 20 calls this for an ArrayBuffer of more than 4 GiB before it says that it can't make it.
  if (!store->making) delete store;
}

int RegionTable::Allocate(napi_env env, size_t length, HugePages huge, bool memfd,
                          Exchange* exchange, napi_value* buffer) {
  int flags = memfd ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  size_t unit = page_size_;
  if (huge == kHuge2M) {
    unit = k2M;
    flags |= MAP_HUGETLB | 21 << MAP_HUGE_SHIFT;
  } else if (huge == kHuge1G) {
    unit = k1G;
    flags |= MAP_HUGETLB | 30 << MAP_HUGE_SHIFT;
  }
  const size_t mapped = RoundUp(length, unit);
  UniqueFd file;
  if (memfd) {
    // The numbers of the page size are the same as mmap()'s.
    const unsigned of_huge = (flags & MAP_HUGETLB) != 0 ? MFD_HUGETLB : 0;
    file = UniqueFd(memfd_create("framevec", MFD_CLOEXEC | of_huge | (flags & kMapHugeMask)));
    if (!file || ftruncate(file.get(), static_cast<off_t>(mapped)) < 0) return -errno;
    flags = MAP_SHARED;
  }
  Mapping mapping = MapAligned(mapped, huge == kHugeAdvise ? k2M : 0, flags, file.get());
  if (!mapping) return -errno;
  void* memory = reinterpret_cast<void*>(mapping.address());
  // Advice: a kernel without THP (PREEMPT_RT) refuses it, and the memory is as good.
  bool advised = false;
  if (huge == kHugeAdvise) advised = madvise(memory, mapped, MADV_HUGEPAGE) == 0;
  if (huge == kHugeNever) madvise(memory, mapped, MADV_NOHUGEPAGE);
  exchange->Set(kHUGE_ADVICE, static_cast<double>(advised));
  return Adopt(env, std::move(mapping), length, true, exchange, buffer);
}

int RegionTable::Map(napi_env env, int fd, uint64_t offset, size_t length, MapMode mode,
                     Exchange* exchange, napi_value* buffer) {
  const size_t unit = PageSizeOf(fd, page_size_);
  exchange->Set(kPAGE_SIZE, uint64_t{unit});
  const bool writable = mode != kMapRead;
  Mapping mapping =
      framevec::Map(RoundUp(length, unit), writable ? PROT_READ | PROT_WRITE : PROT_READ,
                    mode == kMapCopy ? MAP_PRIVATE : MAP_SHARED, fd, static_cast<off_t>(offset));
  if (!mapping) return -errno;
  return Adopt(env, std::move(mapping), length, writable, exchange, buffer);
}

int RegionTable::Adopt(napi_env env, Mapping mapping, size_t length, bool writable,
                       Exchange* exchange, napi_value* buffer) {
  // Each step may find no memory, and the end of these two undoes those before it.
  RegionRef region(new Region(std::move(mapping), length, writable));
  auto store = std::make_unique<Store>(region.get());
  by_address_.emplace(region.get()->address(), region.get());
  region.get()->table_ = this;
  region.get()->handle_ = regions_.Insert(region.get());
  if (region.get()->handle_ < 0) return -ENFILE;

  const napi_status status =
      napi_create_external_arraybuffer(env, reinterpret_cast<void*>(region.get()->address()),
                                       length, FinalizeStore, store.get(), buffer);
  store->making = false;
  if (status != napi_ok) {
    // Node 20 throws as well when the length is more than it can do; lib/ has better words.
    napi_value thrown;
    napi_get_and_clear_last_exception(env, &thrown);
    return status == napi_no_external_buffers_allowed ? kREFUSED_NO_EXTERNAL
                                                      : kREFUSED_NO_ARRAYBUFFER;
  }
  // It is FinalizeStore()'s now.
  static_cast<void>(store.release());
  exchange->Set(kREGION, static_cast<double>(region.get()->handle_));
  Region* kept = region.get();
  kept->owner_ = std::move(region);
  return 0;
}

int RegionTable::Close(int32_t handle, bool unseen) {
  Region* region = Find(handle);
  if (region == nullptr || region->closed_) return kREFUSED_CLOSED;
  region->closed_ = true;
  region->unseen_ = unseen;
  if (region->pins_ == 0) region->GiveBack();
  region->owner_.Reset();
  return 0;
}

void RegionTable::Disown(int32_t handle) {
  Region* region = Find(handle);
  if (region != nullptr) region->owner_.Reset();
}

Region* RegionTable::Find(int32_t handle) {
  Region** found = regions_.Find(handle);
  return found == nullptr ? nullptr : *found;
}

int32_t RegionTable::FindByAddress(uintptr_t address) const {
  auto next = by_address_.upper_bound(address);
  if (next == by_address_.begin()) return -1;
  const Region* region = std::prev(next)->second;
  return address - region->address() < region->length_ ? region->handle_ : -1;
}

}  // namespace framevec
