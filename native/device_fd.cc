// SPDX-License-Identifier: MIT
#include "device_fd.h"

#include <fcntl.h>

#include <cerrno>

namespace framevec {

int DeviceFd::Open(const char* path, int flags) {
  UniqueFd fd(open(path, flags | O_CLOEXEC));
  struct stat of {};
  if (!fd || fstat(fd.get(), &of) != 0) return -errno;
  Reset();
  fd_ = std::move(fd);
  device_ = of.st_dev;
  inode_ = of.st_ino;
  return 0;
}

bool DeviceFd::Ours() const {
  struct stat of {};
  return fd_ && fstat(fd_.get(), &of) == 0 && of.st_dev == device_ && of.st_ino == inode_;
}

void DeviceFd::Reset() {
  if (!fd_) return;
  if (Ours()) {
    fd_.Reset();
  } else {
    fd_.Release();
  }
}

}  // namespace framevec
