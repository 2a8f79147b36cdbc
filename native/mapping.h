// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_MAPPING_H_
#define FRAMEVEC_MAPPING_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace framevec {

// Owns a mapping: a range of the address space that mmap() has returned.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* address, size_t length)
      : address_(reinterpret_cast<uintptr_t>(address)), length_(length) {}
  Mapping(Mapping&& other) noexcept
      : address_(other.address_), length_(std::exchange(other.length_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(length_, other.length_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { Unmap(); }

  uintptr_t address() const { return address_; }
  size_t length() const { return length_; }
  explicit operator bool() const { return length_ > 0; }

  // munmap() needs memory if it splits a mapping that the kernel has merged with its neighbours. If
  // there is none, the addresses stay taken, and the pages at least are released.
  void Unmap() {
    const size_t length = std::exchange(length_, 0);
    if (length == 0) return;
    void* memory = reinterpret_cast<void*>(address_);
    if (munmap(memory, length) != 0) static_cast<void>(madvise(memory, length, MADV_DONTNEED));
  }

  // Maps empty memory over it, so that who still has its address reads zero. If the kernel has no
  // memory for that, the range stays as it is.
  void Replace() {
    if (length_ == 0) return;
    static_cast<void>(mmap(reinterpret_cast<void*>(address_), length_, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0));
  }

 private:
  uintptr_t address_ = 0;
  size_t length_ = 0;
};

}  // namespace framevec

#endif  // FRAMEVEC_MAPPING_H_
