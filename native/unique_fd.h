// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_UNIQUE_FD_H_
#define FRAMEVEC_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace framevec {

// Owns a descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  // On Linux close() has closed even where it reports an error, so there is nothing to try again.
  void Reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // It is not this one's to close any more.
  void Release() { fd_ = -1; }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace framevec

#endif  // FRAMEVEC_UNIQUE_FD_H_
