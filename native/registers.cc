// SPDX-License-Identifier: MIT
#include "registers.h"

namespace framevec {
namespace {

int Check(const Region* region, uint64_t offset, uint32_t width) {
  if (region == nullptr || region->closed()) return kREFUSED_CLOSED;
  if (width != 1 && width != 2 && width != 4 && width != 8) return kREFUSED_BAD_ARGUMENT;
  if (offset % width != 0 || width > region->length() || offset > region->length() - width) {
    return kREFUSED_BAD_ARGUMENT;
  }
  return 0;
}

// The mapping starts at a page, so what is aligned in it is aligned: one instruction.
template <typename T>
volatile T* At(const Region* region, uint64_t offset) {
  return reinterpret_cast<volatile T*>(region->address() + offset);
}

}  // namespace

int ReadRegister(const Region* region, uint64_t offset, uint32_t width, Exchange* exchange) {
  const int refused = Check(region, offset, width);
  if (refused != 0) return refused;
  uint64_t value = 0;
  switch (width) {
    case 1:
      value = *At<uint8_t>(region, offset);
      break;
    case 2:
      value = *At<uint16_t>(region, offset);
      break;
    case 4:
      value = *At<uint32_t>(region, offset);
      break;
    case 8:
      value = *At<uint64_t>(region, offset);
      break;
  }
  exchange->Set(kVALUE_LOW, static_cast<uint32_t>(value));
  exchange->Set(kVALUE_HIGH, static_cast<uint32_t>(value >> 32));
  return 0;
}

int WriteRegister(const Region* region, uint64_t offset, uint32_t width, Exchange* exchange) {
  const int refused = Check(region, offset, width);
  if (refused != 0) return refused;
  if (!region->writable()) return kREFUSED_READ_ONLY;
  const uint64_t value =
      uint64_t{exchange->Get<uint32_t>(kVALUE_HIGH)} << 32 | exchange->Get<uint32_t>(kVALUE_LOW);
  switch (width) {
    case 1:
      *At<uint8_t>(region, offset) = static_cast<uint8_t>(value);
      break;
    case 2:
      *At<uint16_t>(region, offset) = static_cast<uint16_t>(value);
      break;
    case 4:
      *At<uint32_t>(region, offset) = static_cast<uint32_t>(value);
      break;
    case 8:
      *At<uint64_t>(region, offset) = value;
      break;
  }
  return 0;
}

}  // namespace framevec
