// Asio's types bound to the plain executor: smaller and quicker than the type-erased default.
// Internal to src/net.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/wait_traits.hpp>

#include <chrono>

namespace lmcache::net {

using Executor = boost::asio::io_context::executor_type;
using Timer = boost::asio::basic_waitable_timer<
    std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Executor>;
using SocketAcceptor =
    boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol, Executor>;

}  // namespace lmcache::net
