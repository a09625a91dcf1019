#include "app/host.hpp"

#include "net/endpoint.hpp"

#include <boost/asio/ip/address.hpp>
#include <string>

namespace lmcache::app {

bool is_loopback_host(std::string_view host) {
  if (host == "localhost") return true;
  boost::system::error_code error;
  const auto address =
      boost::asio::ip::make_address(std::string(net::without_brackets(host)), error);
  if (error) return false;
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6())
        .is_loopback();
  }
  return address.is_loopback();
}

}  // namespace lmcache::app
