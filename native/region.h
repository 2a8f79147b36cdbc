// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_REGION_H_
#define FRAMEVEC_REGION_H_

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "exchange.h"
#include "handle_table.h"
#include "mapping.h"

namespace framevec {

class Region;

// Holds a region; the last holder's end unmaps it.
class RegionRef {
 public:
  RegionRef() = default;
  explicit RegionRef(Region* region);
  RegionRef(RegionRef&& other) noexcept : region_(std::exchange(other.region_, nullptr)) {}
  RegionRef& operator=(RegionRef&& other) noexcept {
    std::swap(region_, other.region_);
    return *this;
  }
  RegionRef(const RegionRef&) = delete;
  RegionRef& operator=(const RegionRef&) = delete;
  ~RegionRef() { Reset(); }

  void Reset();
  Region* get() const { return region_; }

 private:
  Region* region_ = nullptr;
};

// What a vector or a video device holds: a reference, and, unless it is a snapshot of frame
// numbers, a mark that defers the unmap of closed memory until the last of them is released.
class RegionPin {
 public:
  RegionPin() = default;
  RegionPin(RegionPin&& other) noexcept
      : reference_(std::move(other.reference_)), pins_(std::exchange(other.pins_, false)) {}
  RegionPin& operator=(RegionPin&& other) noexcept {
    std::swap(reference_, other.reference_);
    std::swap(pins_, other.pins_);
    return *this;
  }
  RegionPin(const RegionPin&) = delete;
  RegionPin& operator=(const RegionPin&) = delete;
  ~RegionPin() { Release(); }

  void Hold(Region* region, bool pins = true);
  void Release();

 private:
  RegionRef reference_;
  bool pins_ = false;
};

class RegionTable;

// Mapped memory that several may hold: the object of lib/ that made it, the backing store of its
// ArrayBuffer (which outlives the ArrayBuffer if that is transferred), and every pin. All of them
// let go on the JavaScript thread, so the counts are plain.
class Region {
 public:
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  uintptr_t address() const { return mapping_.address(); }
  // Bytes that JavaScript sees; the mapping goes on to the end of the last page.
  size_t length() const { return length_; }
  bool Contains(uintptr_t address, size_t length) const {
    const uintptr_t start = mapping_.address();
    return address >= start && length <= length_ && address - start <= length_ - length;
  }
  bool closed() const { return closed_; }
  bool writable() const { return writable_; }

 private:
  friend class RegionTable;
  friend class RegionRef;
  friend class RegionPin;

  Region(Mapping mapping, size_t length, bool writable)
      : mapping_(std::move(mapping)), length_(length), writable_(writable) {}
  ~Region() { Leave(); }

  // Closed and held by no pin: the memory goes, or, if someone may still see it, is replaced.
  void GiveBack();
  // Takes it out of its table.
  void Leave();

  // Null outside of a table: before it is in it, after it has left, and once the table is gone.
  RegionTable* table_ = nullptr;
  int32_t handle_ = -1;
  Mapping mapping_;
  size_t length_;
  bool writable_;
  size_t references_ = 0;
  size_t pins_ = 0;
  RegionRef owner_;
  bool closed_ = false;
  // Closed, and no ArrayBuffer shows it any more.
  bool unseen_ = false;
};

// lib/addon.ts has the same numbers.
enum HugePages : int32_t {
  kHugeLeave = 0,   // to the system's policy
  kHugeNever = 1,   // MADV_NOHUGEPAGE
  kHugeAdvise = 2,  // aligned to 2 MiB, MADV_HUGEPAGE
  kHuge2M = 3,      // MAP_HUGETLB
  kHuge1G = 4,      // MAP_HUGETLB
};

// How a file is mapped. lib/addon.ts has the same numbers.
enum MapMode : int32_t {
  kMapRead = 0,       // shared, PROT_READ
  kMapReadWrite = 1,  // shared
  kMapCopy = 2,       // private: writable, and what is written stays here
};

// The regions of an environment.
class RegionTable {
 public:
  explicit RegionTable(size_t page_size) : page_size_(page_size) {}
  ~RegionTable();
  RegionTable(const RegionTable&) = delete;
  RegionTable& operator=(const RegionTable&) = delete;

  // Maps anonymous memory, or a memfd's, and makes its ArrayBuffer: 0, -errno or a refusal. The
  // region's handle and whether the advice was taken are left in the exchange.
  int Allocate(napi_env env, size_t length, HugePages huge, bool memfd, Exchange* exchange,
               napi_value* buffer);
  // The same for a file. Its descriptor is needed no longer then. PAGE_SIZE is that of the file:
  // more than the system's if it is in hugetlbfs.
  int Map(napi_env env, int fd, uint64_t offset, size_t length, MapMode mode, Exchange* exchange,
          napi_value* buffer);
  // Gives the memory back: at once if no ArrayBuffer shows it any more (`unseen`), else so that
  // those read zero from now on. While it is pinned that is deferred to the end of the last pin.
  int Close(int32_t handle, bool unseen);
  // The owner has been collected; the memory stays as long as its bytes can be reached.
  void Disown(int32_t handle);

  Region* Find(int32_t handle);
  // The handle of the region that an address lies in, or -1.
  int32_t FindByAddress(uintptr_t address) const;

 private:
  friend class Region;
  struct Store;
  // Makes a region of a mapping, or unmaps it.
  int Adopt(napi_env env, Mapping mapping, size_t length, bool writable, Exchange* exchange,
            napi_value* buffer);
  static void FinalizeStore(napi_env env, void* data, void* hint);

  size_t page_size_;
  HandleTable<Region*> regions_;
  std::map<uintptr_t, Region*> by_address_;
};

}  // namespace framevec

#endif  // FRAMEVEC_REGION_H_
