package kubernetes

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/topology"
)

//go:embed schema.json
var schemaJSON []byte

// kubeconfigSecret is the name of the secret with the kubeconfig.
const kubeconfigSecret = "kubeconfig"

// connection is the connection data of a site, see schema.json.
type connection struct {
	InCluster       bool              `json:"inCluster"`
	Context         string            `json:"context"`
	NamespacePrefix string            `json:"namespacePrefix"`
	Exposure        string            `json:"exposure"`
	Advertise       string            `json:"advertise"`
	StorageClass    string            `json:"storageClass"`
	ImageRegistry   string            `json:"imageRegistry"`
	ImagePullPolicy string            `json:"imagePullPolicy"`
	PullSecret      string            `json:"pullSecret"`
	NodeSelector    map[string]string `json:"nodeSelector"`
	Kind            topology.Kind     `json:"kind"`
	PodCIDR         []string          `json:"podCIDR"`
	ServiceCIDR     []string          `json:"serviceCIDR"`
	DriftPolicy     string            `json:"driftPolicy"`
	DriftIgnore     []string          `json:"driftIgnore"`
	QPS             float64           `json:"qps"`
	Burst           int               `json:"burst"`
	HelmTimeout     int               `json:"helmTimeoutSeconds"`
}

// connect reads a site's connection data and refuses what the schema does; an
// absent document is the empty one.
func connect(s domain.Site) (connection, error) {
	c := connection{NamespacePrefix: "slice-", Exposure: "NodePort", ImagePullPolicy: "IfNotPresent", Kind: topology.Cloud,
		DriftPolicy: "repair", QPS: 100, Burst: 200, HelmTimeout: 120}
	if raw := bytes.TrimSpace(s.Connection); len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&c); err != nil {
			return c, unreadable(err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return c, fault.Field("connection", "more than one document", "one JSON object")
		}
	}
	return c, c.validate(s)
}

// unreadable translates a decoder's error into one that names the field.
func unreadable(err error) error {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return fault.Field("connection/"+strings.ReplaceAll(t.Field, ".", "/"), t.Value, t.Type.String())
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		field = strings.Trim(field, `"`)
		return fault.Field("connection/"+field, field, "no such field; see the schema of the kubernetes domain")
	}
	return fault.Field("connection", err.Error(), "a JSON object")
}

var (
	prefixPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,29}$`)
	ignorePattern = regexp.MustCompile(`^(\*|[A-Z][A-Za-z]*):[^:]+$`)
	hostPattern   = regexp.MustCompile(`^[0-9A-Za-z.:-]{0,253}$`)
	imagePattern  = regexp.MustCompile(`^[0-9A-Za-z.:/_-]{0,253}$`)
)

func (c connection) validate(s domain.Site) error {
	oneOf := func(field, given string, allowed ...string) error {
		if !slices.Contains(allowed, given) {
			return fault.Field("connection/"+field, given, strings.Join(allowed, ", "))
		}
		return nil
	}
	shaped := func(field, given string, p *regexp.Regexp) error {
		if !p.MatchString(given) {
			return fault.Field("connection/"+field, given, p.String())
		}
		return nil
	}
	checks := []error{
		shaped("namespacePrefix", c.NamespacePrefix, prefixPattern),
		oneOf("exposure", c.Exposure, "ClusterIP", "NodePort", "LoadBalancer"),
		oneOf("imagePullPolicy", c.ImagePullPolicy, "IfNotPresent", "Always", "Never"),
		oneOf("driftPolicy", c.DriftPolicy, "repair", "report"),
		shaped("advertise", c.Advertise, hostPattern), shaped("imageRegistry", c.ImageRegistry, imagePattern),
		c.ranges(),
	}
	for i, v := range c.DriftIgnore {
		checks = append(checks, shaped(fmt.Sprintf("driftIgnore/%d", i), v, ignorePattern))
	}
	for field, list := range map[string][]string{"podCIDR": c.PodCIDR, "serviceCIDR": c.ServiceCIDR} {
		for i, v := range list {
			if _, err := netip.ParsePrefix(v); err != nil {
				checks = append(checks, fault.Field(fmt.Sprintf("connection/%s/%d", field, i), v, "a CIDR, as 10.244.0.0/16"))
			}
		}
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return c.secrets(s)
}

func (c connection) ranges() error {
	if !slices.Contains(topology.Kinds(), c.Kind) {
		return fault.Field("connection/kind", string(c.Kind), fmt.Sprint(topology.Kinds()))
	}
	if c.QPS < 1 || c.QPS > 10000 {
		return fault.Field("connection/qps", fmt.Sprint(c.QPS), "1 to 10000")
	}
	if c.Burst < 1 || c.Burst > 20000 {
		return fault.Field("connection/burst", fmt.Sprint(c.Burst), "1 to 20000")
	}
	if c.HelmTimeout < 5 || c.HelmTimeout > 3600 {
		return fault.Field("connection/helmTimeoutSeconds", fmt.Sprint(c.HelmTimeout), "5 to 3600")
	}
	return nil
}

func (c connection) secrets(s domain.Site) error {
	if !c.InCluster && len(s.Secrets[kubeconfigSecret]) == 0 {
		return fault.Field("secretRefs/"+kubeconfigSecret, "", "the secret with the cluster's kubeconfig, or inCluster")
	}
	if p := c.PullSecret; p != "" {
		var doc struct {
			Auths map[string]json.RawMessage `json:"auths"`
		}
		if json.Unmarshal(s.Secrets[p], &doc) != nil || len(doc.Auths) == 0 {
			return fault.Field("connection/pullSecret", p, `a name in secretRefs whose secret is a .dockerconfigjson with "auths"`)
		}
	}
	return nil
}

// config makes the client's configuration, within the operator's rules.
func (c connection) config(s domain.Site, o Options) (*rest.Config, error) {
	if !c.InCluster {
		return kube.Kubeconfig(s.Secrets[kubeconfigSecret], c.Context, kube.Rules{Exec: o.Exec, Insecure: o.Insecure})
	}
	if !o.InCluster {
		return nil, fault.Field("connection/inCluster", "true", "false: the service's configuration does not allow it")
	}
	return kube.InCluster()
}

func (c connection) helmTimeout() time.Duration { return time.Duration(c.HelmTimeout) * time.Second }

// fingerprint changes when anything of the site's connection does.
func fingerprint(s domain.Site) string {
	h := sha256.New()
	h.Write(s.Connection)
	for _, name := range slices.Sorted(mapsKeys(s.Secrets)) {
		fmt.Fprintf(h, "\x00%s\x00%d\x00", name, len(s.Secrets[name]))
		h.Write(s.Secrets[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}
