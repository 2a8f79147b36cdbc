// SPDX-License-Identifier: MIT
#include "descriptors.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <cerrno>

namespace framevec {

bool Descriptors::Note(int fd) {
  if (!epoll_) epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return false;
  // Of no event, so that no driver begins anything by it.
  epoll_event none{};
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &none) == 0;
}

bool Descriptors::Has(int fd, bool noted) const {
  if (fd < 0) return false;
  if (noted) {
    epoll_event none{};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &none) == 0) return true;
    // ENOENT: another file; EPERM: one that can't even be polled.
    if (errno != EBADF && errno != EINVAL) return false;
  }
  // Closed; or it can't be told, since someone has closed the epoll instance, too.
  return fcntl(fd, F_GETFD) >= 0;
}

}  // namespace framevec
