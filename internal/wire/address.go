package wire

import "net/netip"

// class says how an address is reached. The order matters: of two, the lower one
// is the more public.
type class int

const (
	unknown class = iota
	public
	private  // RFC 1918, RFC 4193, and the carrier-grade range of RFC 6598
	loopback //
	never    // no server that is worth asking stands there
)

func (c class) String() string {
	return [...]string{"unknown", "public", "private", "loopback", "reserved"}[c]
}

// classOf sorts an address. What is not known to be good is never (S8).
func classOf(a netip.Addr) class {
	a = a.WithZone("").Unmap()
	switch {
	case !a.IsValid():
		return never
	case a.IsLoopback():
		return loopback
	case a.Is4():
		return classOf4(a)
	}
	return classOf6(a)
}

func classOf4(a netip.Addr) class {
	if within(a,
		"0.0.0.0/8",                      // this network
		"100.100.100.200/32",             // Alibaba's metadata service, inside of the carrier-grade range
		"168.63.129.16/32",               // Azure's
		"169.254.0.0/16",                 // link-local, and everybody else's metadata service
		"192.0.0.0/24", "192.88.99.0/24", // protocol assignments, 6to4 relays
		"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", // documentation
		"198.18.0.0/15",              // benchmarks
		"224.0.0.0/4", "240.0.0.0/4", // multicast, reserved, broadcast
	) {
		return never
	}
	if within(a, "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16") {
		return private
	}
	return public
}

func classOf6(a netip.Addr) class {
	b := a.As16()
	v4 := func(i int, mask byte) netip.Addr {
		return netip.AddrFrom4([4]byte{b[i] ^ mask, b[i+1] ^ mask, b[i+2] ^ mask, b[i+3] ^ mask})
	}
	switch {
	case within(a, "64:ff9b::/96"): // NAT64: on an IPv6-only network every IPv4 server looks like this
		return wrapped(v4(12, 0))
	case within(a, "2002::/16"): // 6to4
		return wrapped(v4(2, 0))
	case within(a, "2001::/32"): // Teredo: server, and client with its bits turned
		return max(wrapped(v4(4, 0)), wrapped(v4(12, 0xff)))
	case within(a, "fd00:ec2::254/128", "fd20:ce::254/128"): // metadata services of AWS and Google
		return never
	case within(a, "fc00::/7"):
		return private
	case within(a, "2001::/23", "2001:db8::/32", "3fff::/20"): // protocol assignments, documentation
		return never
	case within(a, "2000::/3"): // all that was ever given out
		return public
	}
	return never
}

// wrapped is the class of an address around a. A tunnel has no business with
// anything but public addresses (RFC 6052 section 3.1).
func wrapped(a netip.Addr) class {
	if classOf(a) == public {
		return public
	}
	return never
}

func within(a netip.Addr, prefixes ...string) bool {
	for _, p := range prefixes {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}
