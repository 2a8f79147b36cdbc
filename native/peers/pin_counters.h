// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_PEERS_PIN_COUNTERS_H_
#define FRAMEVEC_PEERS_PIN_COUNTERS_H_

#include <cstdint>

namespace framevec::peers {

// Frames that the whole system has pinned and not yet unpinned, as /proc/vmstat counts them.
// False without such counters, or for one who may not have them brought up to date.
bool FramesPinned(int64_t* frames);

}  // namespace framevec::peers

#endif  // FRAMEVEC_PEERS_PIN_COUNTERS_H_
