// SPDX-License-Identifier: MIT
//
// How numbers go between JavaScript and the addon. A call's value is an int: zero or more is
// success, -1 .. -4095 is -errno of the syscall, and below that the addon itself refused.
// Everything else it leaves in one array of doubles, so that no call makes an object. The calls
// that must be fast find their arguments there too: Node-API takes 7 ns to hand over a number, and
// the array 1. lib/addon.ts has the same two lists; a test compares them.
#ifndef FRAMEVEC_EXCHANGE_H_
#define FRAMEVEC_EXCHANGE_H_

#include <cstdint>
#include <limits>

namespace framevec {

#define FRAMEVEC_FIELDS(X) \
  X(HANDLE)                \
  X(FLAGS)                 \
  X(REGION)                \
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
  X(HUGE_ADVICE)           \
  X(APERTURE_SIZE)         \
  X(FRAME)                 \
  X(VALUE_LOW)             \
  X(VALUE_HIGH)            \
  X(MEMLOCK_SCOPE)

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
  X(NOT_THE_DEVICE)    /* the device file is not framevec's */                    \
  X(READ_ONLY)         /* the region is mapped for reading */                     \
  X(LOST)              /* other code has closed the descriptor */

enum Refusal : int32_t {
  kFirstRefusal = -5000,
#define X(name) kREFUSED_##name,
  FRAMEVEC_REFUSALS(X)
#undef X
};

// The array itself; its memory belongs to an ArrayBuffer that Environment keeps.
class Exchange {
 public:
  void Attach(double* values) { values_ = values; }

  // lib/ writes whole numbers. Of anything else this makes one that nothing accepts.
  template <typename T>
  T Get(Field field) const {
    const double value = values_[field];
    constexpr double kMost = sizeof(T) > 4 ? 9007199254740991.0 : std::numeric_limits<T>::max();
    return value >= 0 && value <= kMost ? static_cast<T>(value) : static_cast<T>(-1);
  }

  void Set(Field field, double value) { values_[field] = value; }
  void Set(Field field, uint32_t value) { values_[field] = value; }
  // For addresses and counts: all of them are below 2^53.
  void Set(Field field, uint64_t value) { values_[field] = static_cast<double>(value); }

 private:
  double* values_ = nullptr;
};

}  // namespace framevec

#endif  // FRAMEVEC_EXCHANGE_H_
