// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_DEVICE_FD_H_
#define FRAMEVEC_DEVICE_FD_H_

#include <cstdint>

#include "unique_fd.h"

namespace framevec {

// Which file a descriptor stands for.
struct FileId {
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t inode = 0;

  static bool Of(int fd, FileId* id);
  bool operator==(const FileId& other) const {
    return device_major == other.device_major && device_minor == other.device_minor &&
           inode == other.inode;
  }
};

// Owns the descriptor of a file that was opened by its path. It is closed only if the number still
// stands for that file: other code may have closed it, and another file may have got the number.
class DeviceFd {
 public:
  DeviceFd() = default;
  DeviceFd(DeviceFd&&) noexcept = default;
  DeviceFd& operator=(DeviceFd&&) noexcept = default;
  DeviceFd(const DeviceFd&) = delete;
  DeviceFd& operator=(const DeviceFd&) = delete;
  ~DeviceFd() { Reset(); }

  // 0, or -errno.
  int Open(const char* path, int flags);
  bool Ours() const;
  void Reset();
  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

 private:
  UniqueFd fd_;
  FileId id_;
};

}  // namespace framevec

#endif  // FRAMEVEC_DEVICE_FD_H_
