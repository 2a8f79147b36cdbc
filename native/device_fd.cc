// SPDX-License-Identifier: MIT
#include "device_fd.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace framevec {

bool FileId::Of(int fd, FileId* id) {
  // Not fstat(): glibc exports that since 2.33 only, and Node needs no more than 2.28.
  struct statx of {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_INO, &of) != 0) return false;
  *id = {of.stx_dev_major, of.stx_dev_minor, of.stx_ino};
  return true;
}

int DeviceFd::Open(const char* path, int flags) {
  UniqueFd fd(open(path, flags | O_CLOEXEC));
  FileId id;
  if (!fd || !FileId::Of(fd.get(), &id)) return -errno;
  Reset();
  fd_ = std::move(fd);
  id_ = id;
  return 0;
}

bool DeviceFd::Ours() const {
  FileId id;
  return fd_ && FileId::Of(fd_.get(), &id) && id == id_;
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
