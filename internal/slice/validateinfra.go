package slice

import (
	"fmt"
	"net"
	"net/netip"
)

// tiers spells topology's kinds; the nouns do not import each other.
var tiers = []string{"DEVICE_EDGE", "NETWORK_EDGE", "FOG", "CLOUD", "ACCESS", "TRANSPORT", "CORE"}

// accessTechnologies are the radio and fixed accesses a slice can ask for.
var accessTechnologies = []string{"NB_IOT", "LTE_M", "GSM", "WIFI", "LTE", "NR", "ETHERNET", "LORAWAN"}

// architectures are GOARCH words.
var architectures = []string{
	"amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "s390x",
	"loong64", "mips", "mipsle", "mips64", "mips64le",
}

func (c *checks) accessTechnology(field, v string) { c.oneOf(field, v, false, accessTechnologies...) }
func (c *checks) architecture(field, v string)     { c.oneOf(field, v, false, architectures...) }

// Validate lists every wrong field of the infrastructure. Its connection data
// is checked against the plugin's schema by whoever knows the plugins.
func (i *Infrastructure) Validate() error {
	c := checking(KindInfrastructure)
	i.check(c, KindInfrastructure)
	c.set("sharedWith", i.SharedWith, maxList, func(f, v string) {
		if v != "*" {
			c.ref(f, v, false)
		}
	})
	c.text("provider", i.Provider, 253)
	c.text("address", i.Address, 1024)
	c.oneOf("kind", i.Tier, false, tiers...)
	c.oneOf("mobility", i.Mobility, true, "FIXED", "MOBILE")
	c.pattern("plugin", i.Plugin, pluginName, false, pluginAllowed)
	c.object("connection", i.Connection)
	c.secretRefs("secretRefs", i.SecretRefs)
	c.words("capabilities", i.Capabilities)
	c.set("accessTechnologies", i.AccessTechnologies, maxList, c.accessTechnology)
	c.pattern("area", i.Area, wordName, true, wordAllowed)
	c.whole("securityLevel", int64(i.SecurityLevel), 0, 100)
	c.number("pricePerCpuHour", i.PricePerCPUHour, 0, 1e12, "per core and hour")
	c.number("accessLatencyMs", i.AccessLatencyMS, 0, maxLatencyMS, "ms")
	c.number("intraLatencyMs", i.IntraLatencyMS, 0, maxLatencyMS, "ms")
	c.whole("intraBandwidthKbit", i.IntraBandwidthKbit, 0, maxQuantity)
	c.whole("concurrency", int64(i.Concurrency), 0, 10_000)
	c.state(i.State)
	return c.err()
}

// Validate lists every wrong field of the node.
func (n *Node) Validate() error {
	c := checking(KindNode)
	n.check(c, KindNode)
	if n.IP != "" {
		_, err := netip.ParseAddr(n.IP)
		c.must(err == nil, "ipAddress", n.IP, "an IPv4 or IPv6 address")
	}
	c.mac("macAddress", n.MAC)
	present(n.Location, func(g Geolocation) { c.position("geolocation", g.Latitude, g.Longitude) })
	c.words("tags", n.Tags)
	c.oneOf("deviceType", n.DeviceType, true, "MCU", "MPU", "VM", "PHYSICAL")
	if n.Architecture != "" {
		c.architecture("architecture", n.Architecture)
	}
	c.whole("cpuMilli", n.CPU, 0, maxQuantity)
	c.whole("memoryMiB", n.Memory, 0, maxQuantity)
	c.whole("storageMiB", n.Storage, 0, maxQuantity)
	c.words("things", n.Things)
	c.words("software", n.Software)
	c.set("accessTechnologies", n.AccessTechnologies, maxList, c.accessTechnology)
	c.whole("securityLevel", int64(n.SecurityLevel), 0, 100)
	c.number("energyPerCpu", n.EnergyPerCPU, 0, 1e6, "W per core")
	c.number("pricePerCpuHour", n.PricePerCPUHour, 0, 1e12, "per core and hour")
	c.oneOf("origin", n.Origin, true, "declared", "discovered")
	c.state(n.State)
	return c.err()
}

// Validate lists every wrong field of the link.
func (l *Link) Validate() error {
	c := checking(KindLink)
	l.check(c, KindLink)
	c.ref("from", l.From, false)
	c.ref("to", l.To, false)
	c.must(l.From != l.To || l.From == "", "to", l.To, "another end than from")
	c.oneOf("level", l.Level, false, "NODE", "INFRASTRUCTURE")
	c.number("latencyMs", l.LatencyMS, 0, maxLatencyMS, "ms")
	c.whole("bandwidthKbit", l.BandwidthKbit, 0, maxQuantity)
	c.number("loss", l.Loss, 0, 1, "(a fraction)")
	return c.err()
}

func (c *checks) mac(field, v string) {
	if v == "" {
		return
	}
	_, err := net.ParseMAC(v)
	c.must(err == nil, field, v, "a MAC address, aa:bb:cc:dd:ee:ff")
}

// position checks WGS 84 degrees; a NaN is within nothing.
func (c *checks) position(at string, lat, lon float64) {
	c.number(at+"/latitude", lat, -90, 90, "degrees")
	c.number(at+"/longitude", lon, -180, 180, "degrees")
}

// Validate lists every wrong field of the network slice.
func (n *NetworkSlice) Validate() error {
	c := checking(KindNetworkSlice)
	n.check(c, KindNetworkSlice)
	n.ServiceProfile.check(c, "serviceProfile")
	c.refs("networkSliceSubnetIds", n.Subnets)
	c.state(n.State)
	return c.err()
}

// Validate lists every wrong field of the subnet.
func (n *NetworkSliceSubnet) Validate() error {
	c := checking(KindNetworkSliceSubnet)
	n.check(c, KindNetworkSliceSubnet)
	c.ref("networkSliceId", n.NetworkSlice, true)
	c.oneOf("networkSliceSubnetType", n.SubnetType, false,
		"TOP_SLICESUBNET", "RAN_SLICESUBNET", "CN_SLICESUBNET", "TRANSPORT")
	c.set("rat", n.RAT, maxList, c.accessTechnology)
	c.text("vpn", n.VPN, 253)
	c.text("upf", n.UPF, 253)
	n.SliceProfile.check(c, "sliceProfile")
	c.refs("networkFunctionIds", n.NetworkFunctions)
	c.state(n.State)
	return c.err()
}

// Validate lists every wrong field of the function.
func (n *NetworkFunction) Validate() error {
	c := checking(KindNetworkFunction)
	n.check(c, KindNetworkFunction)
	c.oneOf("networkFunctionType", n.FunctionType, false, "VNF", "PNF")
	c.ref("infrastructureId", n.Infrastructure, true)
	c.ref("networkSliceId", n.NetworkSlice, true)
	if len(n.Interfaces) > maxList {
		c.wrong("externalInterfaces", len(n.Interfaces), fmt.Sprintf("at most %d entries", maxList))
		n = &NetworkFunction{State: n.State}
	}
	seen := map[string]bool{}
	for i, f := range n.Interfaces {
		at := fmt.Sprintf("externalInterfaces/%d", i)
		c.name(at+"/name", f.Name, false)
		c.must(!seen[f.Name], at+"/name", f.Name, "a name used once")
		seen[f.Name] = true
		c.text(at+"/address", f.Address, 1024)
		c.text(at+"/type", f.Type, 63)
	}
	c.state(n.State)
	return c.err()
}

// Validate lists every wrong field of the service.
func (s *CommunicationService) Validate() error {
	c := checking(KindCommunicationService)
	s.check(c, KindCommunicationService)
	c.text("customer", s.Customer, 253)
	c.text("serviceType", s.ServiceType, 253)
	c.refs("iotSliceIds", s.IoTSlices)
	c.state(s.State)
	return c.err()
}
