package cluster

import (
	"context"
	"fmt"
	"os"
)

// network brings up the node's leg in the WAN, routes to its cluster's other
// nodes' pods, and the translation of what pods send out of the cluster.
func (n *node) network(ctx context.Context) error {
	for _, c := range [][]string{
		{"link", "set", "lo", "up"},
		// Fixed, so that nobody remembers the address of a node's last life.
		{"link", "set", "wan0", "address", fmt.Sprintf("02:00:0a:d2:%02x:%02x", n.Cluster.Index, 10+n.Node.Index)},
		{"addr", "add", n.Node.Address.String() + "/24", "dev", "wan0"},
		{"link", "set", "wan0", "up"},
		{"route", "add", "default", "via", n.Cluster.Gateway.String()},
	} {
		if err := run(ctx, "ip", c...); err != nil {
			return err
		}
	}
	for _, other := range n.Cluster.Nodes {
		if other.Index == n.Node.Index {
			continue
		}
		if err := run(ctx, "ip", "route", "add", other.Pods.String(), "via", other.Address.String()); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{
		"ip_forward": "1", "conf/all/rp_filter": "0", "conf/default/rp_filter": "0", "conf/all/route_localnet": "1",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	pods := n.Cluster.Pods.String()
	_, err := output(ctx, `table ip testbed {
 chain postrouting {
  type nat hook postrouting priority srcnat; policy accept;
  ip saddr `+pods+` ip daddr != `+pods+` oifname "wan0" masquerade
 }
}
`, "nft", "-f", "-")
	return err
}
