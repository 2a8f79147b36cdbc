// SPDX-License-Identifier: MIT
#include "pin_counters.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "../unique_fd.h"

namespace framevec::peers {
namespace {

// Of a line `name 123`.
bool Find(const char* text, const char* name, int64_t* value) {
  const char* line = strstr(text, name);
  if (line == nullptr) return false;
  *value = strtoll(line + strlen(name), nullptr, 10);
  return true;
}

}  // namespace

bool FramesPinned(int64_t* frames) {
  // The counters are each CPU's own until this is written.
  const UniqueFd refresh(open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC));
  if (!refresh || write(refresh.get(), "1", 1) != 1) return false;
  const UniqueFd vmstat(open("/proc/vmstat", O_RDONLY | O_CLOEXEC));
  if (!vmstat) return false;
  std::array<char, 16384> text{};
  size_t length = 0;
  for (;;) {
    const ssize_t got = read(vmstat.get(), text.data() + length, text.size() - 1 - length);
    if (got <= 0) break;
    length += static_cast<size_t>(got);
  }
  text[length] = '\0';
  int64_t acquired, released;
  if (!Find(text.data(), "nr_foll_pin_acquired ", &acquired) ||
      !Find(text.data(), "nr_foll_pin_released ", &released)) {
    return false;
  }
  *frames = acquired - released;
  return true;
}

}  // namespace framevec::peers
