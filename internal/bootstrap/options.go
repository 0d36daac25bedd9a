package bootstrap

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Options say how a cluster is prepared. Zero fields take the defaults.
type Options struct {
	// Name is that of the infrastructure at the service.
	Name string
	// Tier is the infrastructure's kind: EDGE names are those of the API
	// (NETWORK_EDGE, CLOUD, …).
	Tier string
	// Prefix begins the names of the namespaces that are the service's;
	// "slice-".
	Prefix string
	// Namespace holds the identity; "osmoslice-system".
	Namespace string
	// Server is the API server's address as the service reaches it; empty: as
	// the operator's kubeconfig has it.
	Server string
	// TokenLife is how long the service's token is asked for; one year. The
	// cluster may grant less.
	TokenLife time.Duration
	// Connection is further connection data of the kubernetes plugin.
	Connection map[string]any
	// Addons are names of Addons.
	Addons []string
}

// The defaults.
const (
	DefaultPrefix    = "slice-"
	DefaultNamespace = "osmoslice-system"
	DefaultTokenLife = 365 * 24 * time.Hour
	DefaultTier      = "NETWORK_EDGE"
)

// tiers are those where functions can run on a cluster.
var tiers = []string{"DEVICE_EDGE", "NETWORK_EDGE", "FOG", "CLOUD", "ACCESS", "TRANSPORT", "CORE"}

var (
	prefixRE = regexp.MustCompile(`^[a-z][a-z0-9-]{0,28}-$`)
	labelRE  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

// Complete fills in the defaults and refuses what is wrong, by field.
func (o Options) Complete() (Options, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.TokenLife == 0 {
		o.TokenLife = DefaultTokenLife
	}
	if o.Tier == "" {
		o.Tier = DefaultTier
	}
	switch {
	case o.Name == "":
		return o, fault.Field("name", "", "the name of an infrastructure")
	case !slices.Contains(tiers, o.Tier):
		return o, fault.Field("kind", o.Tier, strings.Join(tiers, ", "))
	case !prefixRE.MatchString(o.Prefix):
		return o, fault.Field("prefix", o.Prefix, "at most 30 characters of [a-z0-9-] that begin with a letter and end with -")
	case !labelRE.MatchString(o.Namespace) || strings.HasPrefix(o.Namespace, o.Prefix):
		return o, fault.Field("namespace", o.Namespace, "the name of a namespace that does not begin with "+o.Prefix)
	case o.TokenLife < 10*time.Minute:
		return o, fault.Field("tokenLife", o.TokenLife.String(), "10m or more")
	case o.Server != "" && !strings.HasPrefix(o.Server, "https://"):
		return o, fault.Field("server", o.Server, "https://host[:port]")
	}
	for _, a := range o.Addons {
		if !slices.Contains(Addons(), a) {
			return o, fault.Field("addon", a, strings.Join(Addons(), ", "))
		}
	}
	return o, nil
}

// identity names the service account and the objects of the whole cluster, by
// prefix: two services share a cluster when their prefixes differ.
func (o Options) identity() string { return "osmosliced-" + strings.TrimSuffix(o.Prefix, "-") }

// SecretName is the name of the service's secret with the kubeconfig.
func (o Options) SecretName() string { return o.Name + "-kubeconfig" }

// Infrastructure is the registration, as the API takes it.
func (o Options) Infrastructure() map[string]any {
	connection := map[string]any{"namespacePrefix": o.Prefix, "kind": o.Tier}
	for k, v := range o.Connection {
		connection[k] = v
	}
	return map[string]any{
		"name": o.Name, "kind": o.Tier, "plugin": "kubernetes", "connection": connection,
		"secretRefs": map[string]any{"kubeconfig": o.SecretName()},
	}
}
