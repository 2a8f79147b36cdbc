// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_PEERS_PEER_H_
#define FRAMEVEC_PEERS_PEER_H_

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>

namespace framevec::peers {

// The pages that every peer is given. They stay while it lives.
struct Memory {
  void* address;
  size_t length;
  bool write;  // for a peer that has the choice
};

// The call that said no.
struct Failure {
  int error = 0;  // errno
  const char* step = "";
};

inline double Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Something that takes hold of memory and releases it. Between two pairs it holds no frame.
class Peer {
 public:
  Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  virtual ~Peer() = default;

  // Doubles that a pair yields: how long it took to take and to release, ns, and what more it has.
  virtual uint32_t columns() const = 0;
  // Takes and releases `iterations` times, and times each.
  virtual bool Measure(uint32_t iterations, double* samples) = 0;
  // The same, timed as a whole.
  virtual bool Loop(uint32_t iterations, double* ns) = 0;

  // After false.
  const Failure& failure() const { return failure_; }

 protected:
  bool Failed(const char* step, int error = errno) {
    failure_ = {error, step};
    return false;
  }

 private:
  Failure failure_;
};

// The loops over a Self's own calls, without a virtual one among them. A Self has Open(memory),
// Acquire() and Release(), which are false once they have called Failed(), and what of the rest
// it does otherwise.
template <typename Self>
class Timed : public Peer {
 public:
  static constexpr uint32_t kColumns = 2;

  // What comes before each pair and is not timed.
  bool Prepare() { return true; }
  // What comes after each pair, and is not timed either.
  void Settle() {}
  // The columns beyond the first two, of the pair before.
  void Details(double*) const {}

  uint32_t columns() const override { return Self::kColumns; }

  bool Measure(uint32_t iterations, double* samples) override {
    Self& self = static_cast<Self&>(*this);
    for (uint32_t i = 0; i < iterations; i++, samples += Self::kColumns) {
      if (!self.Prepare()) return false;
      const double begin = Now();
      if (!self.Acquire()) return false;
      const double held = Now();
      if (!self.Release()) return false;
      const double end = Now();
      samples[0] = held - begin;
      samples[1] = end - held;
      self.Settle();
      self.Details(samples + 2);
    }
    return true;
  }

  bool Loop(uint32_t iterations, double* ns) override {
    Self& self = static_cast<Self&>(*this);
    const double begin = Now();
    for (uint32_t i = 0; i < iterations; i++) {
      if (!self.Prepare() || !self.Acquire() || !self.Release()) return false;
      self.Settle();
    }
    *ns = Now() - begin;
    return true;
  }
};

// Sets a peer up, and goes through it once, so that what fails does so here. Null: see *failure.
template <typename P>
std::unique_ptr<Peer> Open(const Memory& memory, Failure* failure) {
  auto peer = std::make_unique<P>();
  double samples[P::kColumns];
  if (peer->Open(memory) && peer->Measure(1, samples)) return peer;
  *failure = peer->failure();
  return nullptr;
}

using Opener = std::unique_ptr<Peer>(const Memory& memory, Failure* failure);

// Each in the file of its name; the first four in floor.cc.
Opener OpenClock, OpenGetppid, OpenEmpty, OpenBadDescriptor;
Opener OpenFramevec, OpenFramevecTimed;
Opener OpenMlock, OpenIoUring, OpenV4l2, OpenAfXdp, OpenRdmaRxe, OpenUdmabuf;

}  // namespace framevec::peers

#endif  // FRAMEVEC_PEERS_PEER_H_
