// SPDX-License-Identifier: MIT
//
// How a call answers. Its value is an int: zero or more is success, -1 .. -4095 is -errno of the
// syscall, and below that the addon itself refused. Everything else it leaves in one array of
// doubles that JavaScript reads, so that no call makes an object. lib/addon.ts has the same two
// lists; a test compares them.
#ifndef FRAMEVEC_RESULTS_H_
#define FRAMEVEC_RESULTS_H_

#include <cstdint>

namespace framevec {

#define FRAMEVEC_FIELDS(X) \
  X(ABI)                   \
  X(PAGE_SIZE)             \
  X(MAX_FRAMES)            \
  X(FEATURES)              \
  X(KIND)                  \
  X(STATE)                 \
  X(CAPACITY)              \
  X(FRAMES)                \
  X(OFFSET)                \
  X(LENGTH)                \
  X(REASON)                \
  X(GUP_NS)                \
  X(CALL_NS)               \
  X(ADDRESS)               \
  X(FRAMES_ASKED)          \
  X(FAIL_ADDRESS)          \
  X(MEMLOCK_NEED)          \
  X(MEMLOCK_USED)          \
  X(MEMLOCK_LIMIT)         \
  X(REGION)                \
  X(HUGE_ADVICE)

enum Field : unsigned {
#define X(name) k##name,
  FRAMEVEC_FIELDS(X)
#undef X
      kFieldCount
};

#define FRAMEVEC_REFUSALS(X)                                                      \
  X(BAD_ARGUMENT)      /* an argument of a type that lib/ never sends */          \
  X(CLOSED)            /* no such vector or region, or one that is closed */      \
  X(EMPTY)             /* a view of no bytes: empty, or detached */               \
  X(UNALIGNED)         /* the range shares its first or last page with others */  \
  X(CAPACITY_EXCEEDED) /* more frames than the vector can hold */                 \
  X(FOREIGN)           /* the view does not lie in the region that was named */   \
  X(NO_EXTERNAL)       /* this runtime has no external ArrayBuffers (Electron) */ \
  X(NO_ARRAYBUFFER)    /* the runtime could not make the ArrayBuffer */           \
  X(NOT_THE_DEVICE)    /* the device file is not framevec's */

enum Refusal : int32_t {
  kFirstRefusal = -5000,
#define X(name) kREFUSED_##name,
  FRAMEVEC_REFUSALS(X)
#undef X
};

// The array itself; its memory belongs to an ArrayBuffer that Environment keeps.
class Results {
 public:
  void Attach(double* values) { values_ = values; }
  void Set(Field field, double value) { values_[field] = value; }
  // For addresses and counts. All of them are below 2^53; all ones means "no limit".
  void Set(Field field, uint64_t value) {
    values_[field] = value == UINT64_MAX ? __builtin_inf() : static_cast<double>(value);
  }
  void Set(Field field, uint32_t value) { values_[field] = value; }

 private:
  double* values_ = nullptr;
};

}  // namespace framevec

#endif  // FRAMEVEC_RESULTS_H_
