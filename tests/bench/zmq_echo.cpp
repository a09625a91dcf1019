// The floor of every comparison: a libzmq ROUTER that answers at once with what a server would say
// to a full hit of 512 chunks. uid and operation come back as they were; wait_prefetch_status
// carries 512.
#include <zmq.hpp>

#include <array>
#include <cstdio>
#include <exception>
#include <string>

namespace {

constexpr unsigned char kWaitPrefetchStatus = 10;
constexpr std::array<unsigned char, 3> kHit{0xcd, 0x02, 0x00};  // MessagePack 512

void serve(zmq::socket_t& router) {
  for (;;) {
    std::array<zmq::message_t, 3> head;  // identity, uid, operation
    std::size_t frames = 0;
    for (bool more = true; more; ++frames) {
      zmq::message_t part;
      if (!router.recv(part)) return;
      more = part.more();
      if (frames < head.size()) head[frames] = std::move(part);
    }
    if (frames < head.size()) continue;
    const bool hit = head[2].size() == 1 &&
                     *static_cast<const unsigned char*>(head[2].data()) == kWaitPrefetchStatus;
    router.send(head[0], zmq::send_flags::sndmore);
    router.send(head[1], zmq::send_flags::sndmore);
    router.send(head[2], hit ? zmq::send_flags::sndmore : zmq::send_flags::none);
    if (hit) router.send(zmq::buffer(kHit), zmq::send_flags::none);
  }
}

}  // namespace

/// usage: zmq_echo URL, e.g. tcp://127.0.0.1:* ; prints the endpoint it is bound to.
int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: zmq_echo URL\n");
    return 2;
  }
  zmq::context_t context;
  zmq::socket_t router(context, zmq::socket_type::router);
  router.bind(argv[1]);
  std::printf("%s\n", router.get(zmq::sockopt::last_endpoint).c_str());
  std::fflush(stdout);
  serve(router);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "zmq_echo: %s\n", error.what());
  return 1;
}
