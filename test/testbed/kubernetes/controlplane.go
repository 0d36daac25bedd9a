package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	logsapi "k8s.io/component-base/logs/api/v1"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controlleroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// controlPlane is one cluster's brain in one process. Its certificates and
// kubeconfigs are made by the caller, under the names used below.
type controlPlane struct {
	data        string // etcd's files
	pki         string // ca.crt, apiserver.crt, sa.key ... (see the package pki of the test bed)
	bind        string
	port        int
	listener    int // an inherited file descriptor that already listens; 0: none
	advertise   string
	serviceCIDR string
	clusterCIDR string
	readyFile   string
	scheduler   bool
	controllers string
	extra       []string // more arguments of kube-apiserver
}

func newControlPlaneCommand() *cobra.Command {
	var p controlPlane
	c := &cobra.Command{
		Use: "controlplane", Short: "etcd, kube-apiserver, kube-controller-manager and kube-scheduler in one process",
		Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(c *cobra.Command, _ []string) error {
			// Each component applies its own logging flags; the first wins.
			logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return p.run(ctx)
		},
	}
	f := c.Flags()
	f.StringVar(&p.data, "data", "", "folder of the store")
	f.StringVar(&p.pki, "pki", "", "folder of certificates, keys and kubeconfigs")
	f.StringVar(&p.bind, "bind", "127.0.0.1", "address to listen on")
	f.IntVar(&p.port, "port", 6443, "port to listen on")
	f.IntVar(&p.listener, "listener", 0, "inherited file descriptor that already listens, in place of --bind and --port")
	f.StringVar(&p.readyFile, "readyfile", "", "file that is made once everything serves")
	f.StringVar(&p.advertise, "advertise", "127.0.0.1", "address the cluster's own pods reach the server at")
	f.StringVar(&p.serviceCIDR, "service-cidr", "10.96.0.0/16", "addresses of services")
	f.StringVar(&p.clusterCIDR, "cluster-cidr", "", "addresses of pods")
	f.BoolVar(&p.scheduler, "scheduler", true, "run kube-scheduler")
	f.StringVar(&p.controllers, "controllers", "*", "controllers to run, as kube-controller-manager takes them; empty: none")
	f.StringArrayVar(&p.extra, "apiserver", nil, "a further argument of kube-apiserver; may be repeated")
	return c
}

func (p *controlPlane) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	if err := p.makeAbsolute(); err != nil {
		return err
	}
	store, err := p.startStore(ctx)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer store.Close()
	ended := make(chan error, 3)
	begun := 1
	if err := p.startAPIServer(ctx, store.Config().ListenClientUrls[0].String(), ended); err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	if p.scheduler {
		if err := p.startScheduler(ctx, ended); err != nil {
			return fmt.Errorf("kube-scheduler: %w", err)
		}
		begun++
	}
	if p.controllers != "" {
		if err := p.startControllers(ctx, ended); err != nil {
			return fmt.Errorf("kube-controller-manager: %w", err)
		}
		begun++
	}
	if p.readyFile != "" {
		if err := os.WriteFile(p.readyFile, nil, 0o644); err != nil {
			return err
		}
	}
	select {
	case err = <-ended:
		if err == nil && ctx.Err() == nil {
			err = errors.New("a component of the control plane ended without being asked")
		}
		begun--
	case <-ctx.Done():
	}
	cancel()
	// The store closes last, and not before the server let go of it; a
	// component that does not end in time is left to the end of the process.
	grace := time.After(10 * time.Second)
	for ; begun > 0; begun-- {
		select {
		case <-ended:
		case <-grace:
			return err
		}
	}
	return err
}

// makeAbsolute prepares for the change of directory in startStore.
func (p *controlPlane) makeAbsolute() error {
	for _, path := range []*string{&p.data, &p.pki, &p.readyFile} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	return os.MkdirAll(p.data, 0o700)
}

// startStore runs etcd on two Unix sockets under data, so that any number of
// control planes live side by side without a port.
func (p *controlPlane) startStore(ctx context.Context) (*embed.Etcd, error) {
	// The path of a socket holds about a hundred bytes: a relative one always fits.
	if err := os.Chdir(p.data); err != nil {
		return nil, err
	}
	client, peer := url.URL{Scheme: "unix", Host: "client.sock:0"}, url.URL{Scheme: "unix", Host: "peer.sock:0"}
	c := embed.NewConfig()
	c.Dir = "etcd"
	c.LogLevel = "error"
	c.UnsafeNoFsync = true // what a test bed stores does not outlive it
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	e, err := embed.StartEtcd(c)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case err = <-e.Err():
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.Close()
	return nil, err
}

func (p *controlPlane) startAPIServer(ctx context.Context, store string, ended chan<- error) error {
	listener, err := p.listen(ctx)
	if err != nil {
		return err
	}
	p.port = listener.Addr().(*net.TCPAddr).Port
	o := apiserveroptions.NewServerRunOptions()
	named := o.Flags()
	var sets []*pflag.FlagSet
	for _, f := range named.FlagSets {
		sets = append(sets, f)
	}
	if err := parse(sets, append(p.apiServerArguments(store), p.extra...)); err != nil {
		return err
	}
	o.SecureServing.Listener = listener
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	completed, err := o.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return errors.Join(errs...)
	}
	config, err := apiserver.NewConfig(completed)
	if err != nil {
		return err
	}
	complete, err := config.Complete()
	if err != nil {
		return err
	}
	chain, err := apiserver.CreateServerChain(complete)
	if err != nil {
		return err
	}
	prepared, err := chain.PrepareRun()
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		err := prepared.Run(ctx)
		failed <- err
		ended <- err
	}()
	client, err := kubernetes.NewForConfig(rest.CopyConfig(chain.GenericAPIServer.LoopbackClientConfig))
	if err != nil {
		return err
	}
	return awaitReady(ctx, client, failed)
}

func (p *controlPlane) listen(ctx context.Context) (net.Listener, error) {
	if p.listener == 0 {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(p.bind, strconv.Itoa(p.port)))
	}
	f := os.NewFile(uintptr(p.listener), "listener")
	defer f.Close()
	return net.FileListener(f)
}

func (p *controlPlane) apiServerArguments(store string) []string {
	pki := func(name string) string { return filepath.Join(p.pki, name) }
	return []string{
		"--etcd-servers=" + store,
		"--bind-address=" + p.bind, "--secure-port=" + strconv.Itoa(p.port), "--advertise-address=" + p.advertise,
		"--service-cluster-ip-range=" + p.serviceCIDR,
		"--client-ca-file=" + pki("ca.crt"),
		"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
		"--kubelet-client-certificate=" + pki("kubelet-client.crt"), "--kubelet-client-key=" + pki("kubelet-client.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP,Hostname",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
		"--requestheader-client-ca-file=" + pki("ca.crt"), "--requestheader-allowed-names=front-proxy",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + pki("front-proxy.crt"), "--proxy-client-key-file=" + pki("front-proxy.key"),
		"--enable-aggregator-routing=true",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true", "--profiling=false", "--anonymous-auth=false",
	}
}

func (p *controlPlane) startScheduler(ctx context.Context, ended chan<- error) error {
	o := scheduleroptions.NewOptions()
	var sets []*pflag.FlagSet
	for _, f := range o.Flags.FlagSets {
		sets = append(sets, f)
	}
	if err := parse(sets, p.clientArguments("scheduler")); err != nil {
		return err
	}
	config, s, err := scheduler.Setup(ctx, o)
	if err != nil {
		return err
	}
	go func() { ended <- scheduler.Run(ctx, config, s) }()
	return nil
}

func (p *controlPlane) startControllers(ctx context.Context, ended chan<- error) error {
	o, err := controlleroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	known, disabled, aliases := controllers.KnownControllers(), controllers.ControllersDisabledByDefault(), controllers.ControllerAliases()
	named := o.Flags(known, disabled, aliases)
	o.ParsedFlags = &named
	var sets []*pflag.FlagSet
	for _, f := range named.FlagSets {
		sets = append(sets, f)
	}
	arguments := append(p.clientArguments("controller-manager"),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+filepath.Join(p.pki, "sa.key"),
		"--root-ca-file="+filepath.Join(p.pki, "ca.crt"),
		"--cluster-signing-cert-file="+filepath.Join(p.pki, "ca.crt"), "--cluster-signing-key-file="+filepath.Join(p.pki, "ca.key"),
		"--allocate-node-cidrs=false", "--controllers="+p.controllers)
	if p.clusterCIDR != "" {
		arguments = append(arguments, "--cluster-cidr="+p.clusterCIDR)
	}
	if err := parse(sets, arguments); err != nil {
		return err
	}
	config, err := o.Config(ctx, known, disabled, aliases)
	if err != nil {
		return err
	}
	go func() { ended <- controllers.Run(ctx, config.Complete()) }()
	return nil
}

// clientArguments let a component speak as itself; none serves a port.
func (p *controlPlane) clientArguments(name string) []string {
	kubeconfig := filepath.Join(p.pki, name+".kubeconfig")
	return []string{"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig, "--secure-port=0", "--leader-elect=false"}
}

func awaitReady(ctx context.Context, client kubernetes.Interface, failed <-chan error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Raw()
		if err == nil && string(answer) == "ok" {
			return nil
		}
		select {
		case err := <-failed:
			if err == nil {
				err = errors.New("ended before it was ready")
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func parse(sets []*pflag.FlagSet, arguments []string) error {
	all := pflag.NewFlagSet("controlplane", pflag.ContinueOnError)
	for _, s := range sets {
		all.AddFlagSet(s)
	}
	return all.Parse(arguments)
}
