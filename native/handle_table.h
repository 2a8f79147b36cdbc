// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_HANDLE_TABLE_H_
#define FRAMEVEC_HANDLE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace framevec {

// Things that JavaScript names by a number: 20 bits of slot and 11 of generation, so that the
// number is a small integer to V8 and a stale one finds nothing.
template <typename T>
class HandleTable {
 public:
  static constexpr int32_t kFull = -1;

  // The new thing's handle, or kFull.
  int32_t Insert(T value) {
    uint32_t slot = 0;
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else if (slots_.size() <= kSlotMask) {
      slot = static_cast<uint32_t>(slots_.size());
      if (slots_.size() == slots_.capacity()) {
        // So that a slot can be given back without memory being needed for it.
        const size_t room = slots_.empty() ? 16 : 2 * slots_.size();
        free_.reserve(room);
        slots_.reserve(room);
      }
      slots_.emplace_back();
    } else {
      return kFull;
    }
    slots_[slot].value = std::move(value);
    slots_[slot].used = true;
    return static_cast<int32_t>(slots_[slot].generation << kSlotBits | slot);
  }

  // Null for a handle that is not, or no longer, anything's.
  T* Find(int32_t handle) {
    const uint32_t slot = static_cast<uint32_t>(handle) & kSlotMask;
    if (handle < 0 || slot >= slots_.size()) return nullptr;
    Slot& found = slots_[slot];
    if (!found.used || found.generation != static_cast<uint32_t>(handle) >> kSlotBits) {
      return nullptr;
    }
    return &found.value;
  }

  // Destroys the thing.
  void Remove(int32_t handle) {
    if (Find(handle) == nullptr) return;
    const uint32_t slot = static_cast<uint32_t>(handle) & kSlotMask;
    // Its members end in the reverse of their order, which an assignment would not keep.
    { [[maybe_unused]] const T gone = std::move(slots_[slot].value); }
    slots_[slot].value = T();
    slots_[slot].used = false;
    slots_[slot].generation = (slots_[slot].generation + 1) & kGenerationMask;
    free_.push_back(slot);
  }

  template <typename Visit>
  void ForEach(Visit visit) {
    for (Slot& slot : slots_) {
      if (slot.used) visit(slot.value);
    }
  }

 private:
  static constexpr uint32_t kSlotBits = 20;
  static constexpr uint32_t kSlotMask = (1U << kSlotBits) - 1;
  static constexpr uint32_t kGenerationMask = (1U << 11) - 1;

  struct Slot {
    T value{};
    uint32_t generation = 0;
    bool used = false;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace framevec

#endif  // FRAMEVEC_HANDLE_TABLE_H_
