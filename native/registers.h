// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_REGISTERS_H_
#define FRAMEVEC_REGISTERS_H_

#include <cstdint>

#include "exchange.h"
#include "region.h"

namespace framevec {

// One access of `width` bytes (1, 2, 4 or 8) to a device's memory, at a multiple of as many: never
// split, never merged, never left out. The value goes through VALUE_LOW and VALUE_HIGH, 32 bits
// each. 0 or a refusal.
int ReadRegister(const Region* region, uint64_t offset, uint32_t width, Exchange* exchange);
int WriteRegister(const Region* region, uint64_t offset, uint32_t width, Exchange* exchange);

}  // namespace framevec

#endif  // FRAMEVEC_REGISTERS_H_
