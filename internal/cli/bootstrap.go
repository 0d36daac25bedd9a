package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/internal/bootstrap"
)

// bootstrapTimeout bounds preparing a cluster: images of add-ons are pulled.
const bootstrapTimeout = 10 * time.Minute

// bootstrapFlags are those of "infrastructure bootstrap".
type bootstrapFlags struct {
	kubeconfig, context                              string
	exposure, storageClass, imageRegistry, advertise string
	dryRun, undo                                     bool
	o                                                bootstrap.Options
}

func (s *session) bootstrapCommand() *cobra.Command {
	f := &bootstrapFlags{}
	c := &cobra.Command{
		Use: "bootstrap NAME --kubeconfig FILE", Short: "Prepare a Kubernetes cluster and register it",
		Long: "Makes an identity for the service with the least rights that work, a policy that holds it to namespaces of\n" +
			"its own, and the add-ons asked for; then stores a kubeconfig of that identity as a secret and registers the\n" +
			"cluster as infrastructure NAME. The rights of the kubeconfig given are used for this and not kept.\n\n" +
			"It can be repeated: to go on after a failure, to renew the token, to change a flag.",
		Args: args(1, 1, "the name of an infrastructure"),
	}
	fl := c.Flags()
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of an administrator of the cluster")
	fl.StringVar(&f.context, "context", "", "context of that kubeconfig (default: its current one); the service is named by SLICECTL_CONTEXT here")
	fl.StringVar(&f.o.Tier, "kind", bootstrap.DefaultTier, "kind of the infrastructure: DEVICE_EDGE, NETWORK_EDGE, FOG, CLOUD, …")
	fl.StringVar(&f.o.Prefix, "prefix", bootstrap.DefaultPrefix, "how the namespaces of slices begin")
	fl.StringVar(&f.o.Namespace, "namespace", bootstrap.DefaultNamespace, "namespace of the service's identity")
	fl.StringVar(&f.o.Server, "api-server", "", "address of the API server as the service reaches it, where that differs from the kubeconfig's")
	fl.DurationVar(&f.o.TokenLife, "token-life", bootstrap.DefaultTokenLife, "how long the service's token is asked for")
	fl.StringSliceVar(&f.o.Addons, "addon", nil, "install this too: "+strings.Join(bootstrap.Addons(), ", "))
	fl.StringVar(&f.exposure, "exposure", "", "how functions are reached: ClusterIP, NodePort (default) or LoadBalancer")
	fl.StringVar(&f.storageClass, "storage-class", "", "StorageClass of the functions' volumes (default: the cluster's)")
	fl.StringVar(&f.imageRegistry, "image-registry", "", "mirror that images are pulled from instead of docker.io")
	fl.StringVar(&f.advertise, "advertise", "", "address of endpoints instead of a node's")
	fl.BoolVar(&f.dryRun, "dry-run", false, "print every object and do nothing")
	fl.BoolVar(&f.undo, "undo", false, "take the infrastructure out of the service and everything out of the cluster again")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		f.o.Name = a[0]
		return s.bootstrap(cmd.Context(), f)
	}
	return c
}

func (s *session) bootstrap(ctx context.Context, f *bootstrapFlags) error {
	if f.kubeconfig == "" {
		return usagef("--kubeconfig FILE is missing: which cluster?")
	}
	if f.dryRun && f.undo {
		return usagef("give either --dry-run or --undo")
	}
	f.o.Connection = map[string]any{}
	for key, v := range map[string]string{"exposure": f.exposure, "storageClass": f.storageClass, "imageRegistry": f.imageRegistry, "advertise": f.advertise} {
		if v != "" {
			f.o.Connection[key] = v
		}
	}
	o, err := f.o.Complete()
	if err != nil {
		return usageError{err}
	}
	if _, err := os.Stat(f.kubeconfig); err != nil {
		return usagef("--kubeconfig: %v", err)
	}
	cluster, err := bootstrap.Open(f.kubeconfig, f.context)
	if err != nil {
		return usageError{err}
	}
	if f.dryRun {
		text, err := bootstrap.Preview(o, bootstrap.Charts(charts.Files(), nil))
		if err == nil {
			_, err = fmt.Fprint(s.Out, text)
		}
		return err
	}
	if _, err := s.wire(); err != nil { // before the cluster is touched
		return err
	}
	ctx, cancel := s.within(ctx, bootstrapTimeout)
	defer cancel()
	w := bootstrap.Work{Cluster: cluster, Service: registrar{s}, Releases: bootstrap.Charts(charts.Files(), cluster), Say: s.note}
	if f.undo {
		return w.Undo(ctx, o)
	}
	if err = w.Run(ctx, o); err != nil {
		s.note("not finished: the same command goes on where it was, --undo removes what was made")
	}
	return err
}

// registrar tells the service of the context in force.
type registrar struct{ s *session }

var _ bootstrap.Service = registrar{}

// KeepSecret implements bootstrap.Service; a taken name gets a new version.
func (r registrar) KeepSecret(ctx context.Context, name string, value []byte) error {
	w, err := r.s.wire()
	if err != nil {
		return err
	}
	if len(value) > maxSecret {
		return usagef("the kubeconfig has %d bytes, allowed: at most %d", len(value), maxSecret)
	}
	_, err = w.do(ctx, call{method: http.MethodPost, path: "/secrets", body: map[string]any{"name": name, "value": string(value)}})
	return err
}

// Register implements bootstrap.Service.
func (r registrar) Register(ctx context.Context, body map[string]any) error {
	return r.s.converge(ctx, nounOf("infrastructure"), body, &changeFlags{})
}

// DropSecret implements bootstrap.Service.
func (r registrar) DropSecret(ctx context.Context, name string) (bool, error) {
	return r.drop(ctx, "secret", name)
}

// Forget implements bootstrap.Service.
func (r registrar) Forget(ctx context.Context, name string) (bool, error) {
	return r.drop(ctx, "infrastructure", name)
}

func (r registrar) drop(ctx context.Context, noun, name string) (bool, error) {
	n := nounOf(noun)
	id, err := r.s.id(ctx, n, "", name)
	if exitCode(err) == exitNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	path, ids := n.item("", id)
	_, err = r.s.wired.do(ctx, call{method: http.MethodDelete, path: path, ids: ids})
	if exitCode(err) == exitNotFound {
		return false, nil
	}
	return err == nil, err
}
