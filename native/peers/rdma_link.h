// SPDX-License-Identifier: MIT
#ifndef FRAMEVEC_PEERS_RDMA_LINK_H_
#define FRAMEVEC_PEERS_RDMA_LINK_H_

#include <memory>
#include <string>

#include "../unique_fd.h"

namespace framevec::peers {

// An RDMA device in software (rxe) over the loopback interface, as `rdma link add` makes one; it
// goes with this object.
class RdmaLink {
 public:
  RdmaLink() = default;
  RdmaLink(const RdmaLink&) = delete;
  RdmaLink& operator=(const RdmaLink&) = delete;
  ~RdmaLink();

  // The one that all sessions use at a time: its removal waits until no descriptor is open on it,
  // so a session that took it away from another of this thread would wait for ever. Null: see
  // *error.
  static std::shared_ptr<RdmaLink> Shared(int* error);

  // The file of its verbs (/dev/infiniband/uverbs0), or nothing.
  static std::string VerbsFile();

 private:
  // 0, or an errno. EEXIST: the loopback interface has one already, which is used then, and stays.
  int Add();

  UniqueFd socket_;
  bool added_ = false;
};

}  // namespace framevec::peers

#endif  // FRAMEVEC_PEERS_RDMA_LINK_H_
