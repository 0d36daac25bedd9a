package config

import "time"

// Config is everything osmosliced can be told. The key tags are the names of
// the settings; the help tags are their documentation.
type Config struct {
	Listen     Listen     `key:"listen"`
	TLS        TLS        `key:"tls"`
	Data       Data       `key:"data"`
	Log        Log        `key:"log"`
	Limits     Limits     `key:"limits"`
	Operations Operations `key:"operations"`
	Retention  Retention  `key:"retention"`
	Callbacks  Callbacks  `key:"callbacks"`
	Host       Host       `key:"host"`
	Kubernetes Kubernetes `key:"kubernetes"`
	Simulated  Simulated  `key:"simulated"`
	Placement  Placement  `key:"placement"`
	Telemetry  Telemetry  `key:"telemetry"`
}

// Listen says where the API is served.
type Listen struct {
	Address      string        `key:"address" help:"address of the API, host:port; port 0 chooses one"`
	PortFile     string        `key:"portfile" help:"file to write the bound address to, once it serves"`
	ReadTimeout  time.Duration `key:"readtimeout" help:"longest time to read one request"`
	IdleTimeout  time.Duration `key:"idletimeout" help:"longest time an idle connection is kept"`
	DrainTimeout time.Duration `key:"draintimeout" help:"longest time to finish requests and steps on SIGTERM"`
}

// TLS turns on HTTPS when both files are given.
type TLS struct {
	CertFile string `key:"certfile" help:"PEM certificate chain; together with tls.keyfile serves HTTPS"`
	KeyFile  string `key:"keyfile" help:"PEM private key of tls.certfile"`
}

// Data says where state is kept.
type Data struct {
	Dir         string `key:"dir" help:"folder of everything kept on disk, made with mode 0700"`
	DSN         string `key:"dsn" help:"database: empty for SQLite in data.dir, or postgres://user@host/db?sslmode=…"`
	PasswordSrc string `key:"dsnpasswordfile" help:"file with the PostgreSQL password, instead of one in data.dsn"`
	KeyFile     string `key:"keyfile" help:"key file that wraps all secrets, mode 0600; empty: secret.key in data.dir"`
	AdminKey    string `key:"adminkeyfile" help:"file with the system-admin key that the first start registers; empty: it makes one and writes it to admin.key in data.dir"`
	Synchronous string `key:"synchronous" help:"SQLite durability: full (power cut) or normal (process death)"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `key:"level" help:"debug, info, warn or error"`
	Format string `key:"format" help:"text or json"`
}

// Limits bounds what callers can ask for.
type Limits struct {
	BodyBytes     int64   `key:"bodybytes" help:"largest request body in bytes"`
	RatePerSecond float64 `key:"ratepersecond" help:"requests per second of one API key; 0 has no limit"`
	RateBurst     int     `key:"rateburst" help:"requests an API key may make at once"`
	Backlog       int     `key:"backlog" help:"open operations before new ones are answered 429"`
}

// Operations tunes the runner.
type Operations struct {
	Workers          int           `key:"workers" help:"steps carried out side by side"`
	SiteConcurrency  int           `key:"siteconcurrency" help:"steps side by side at one infrastructure"`
	Lease            time.Duration `key:"lease" help:"time after which another replica takes over from a dead one"`
	StepTimeout      time.Duration `key:"steptimeout" help:"longest time for one attempt of one step"`
	Deadline         time.Duration `key:"deadline" help:"longest time for an operation before it fails"`
	RollbackDeadline time.Duration `key:"rollbackdeadline" help:"longest time for compensation before the rest is left to tombstones"`
	HoldTimeout      time.Duration `key:"holdtimeout" help:"how long onFailure=hold waits for a person"`
	MaxAttempts      int           `key:"maxattempts" help:"attempts of one step with backoff"`
}

// Retention says how long ended things are kept.
type Retention struct {
	Operations  time.Duration `key:"operations" help:"age at which ended operations are deleted"`
	Events      time.Duration `key:"events" help:"age at which events are deleted"`
	Audit       time.Duration `key:"audit" help:"age at which audit records are deleted; 0 keeps them"`
	Idempotency time.Duration `key:"idempotency" help:"how long an Idempotency-Key is remembered"`
}

// Callbacks bounds where webhooks may go.
type Callbacks struct {
	Allow  []string      `key:"allow" help:"CIDR ranges that callbacks may reach although loopback, link-local or private"`
	GiveUp time.Duration `key:"giveup" help:"how long deliveries to a dead callback are repeated"`
}

// Host configures the host plugin.
type Host struct {
	Enabled      bool     `key:"enabled" help:"install functions as processes on this machine"`
	Dir          string   `key:"dir" help:"folder of the functions' state; empty: host in data.dir"`
	ArtefactDir  string   `key:"artefactdir" help:"folder of executables; empty: the folder of this program"`
	ArtefactDirs []string `key:"artefactdirs" help:"further folders that connection data may name"`
}

// Kubernetes configures the kubernetes plugin.
type Kubernetes struct {
	Enabled     bool     `key:"enabled" help:"install functions as Helm releases on Kubernetes clusters"`
	ChartDir    string   `key:"chartdir" help:"folder of further charts, a directory each; before the built-in ones"`
	ExecPlugins []string `key:"execplugins" help:"credential plugins that kubeconfigs may run, whole command lines, as gke-gcloud-auth-plugin"`
	InCluster   bool     `key:"incluster" help:"let connection data use the service account of this program's own pod"`
	Insecure    bool     `key:"insecure" help:"accept kubeconfigs that do not prove who the API server is; for trials"`
	ImageDir    string   `key:"imagedir" help:"folder of OCI archives that say what images run on, for sites that are loaded from them"`
	Registries  bool     `key:"askregistries" help:"ask whatever registry a chart names what its images run on; else only an infrastructure's own mirror is asked"`
}

// Simulated configures the simulated plugin.
type Simulated struct {
	Enabled bool   `key:"enabled" help:"offer infrastructures with scripted behaviour"`
	Dir     string `key:"dir" help:"folder of the simulated world; empty: simulated in data.dir; - keeps it in memory"`
}

// Placement configures the placer.
type Placement struct {
	Strategy string `key:"strategy" help:"placement strategy: osmotic, firstfit, exact, …"`
	Budget   int64  `key:"budget" help:"search steps per decision; 0: the default"`

	Reservation    time.Duration `key:"reservation" help:"how long a reservation lasts that asks for no time"`
	MaxReservation time.Duration `key:"maxreservation" help:"the longest time a reservation can ask for"`
	Keep           time.Duration `key:"keep" help:"how long a kept preview, or a reservation after its end, can be read"`
}

// Telemetry configures traces.
type Telemetry struct {
	OTLPEndpoint string `key:"otlpendpoint" help:"http(s)://host:port of an OTLP/HTTP trace collector; empty sends nothing"`
}

// Default is the configuration without any file, environment or flag.
func Default() Config {
	const day = 24 * time.Hour
	return Config{
		Listen:     Listen{Address: "127.0.0.1:8080", ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, DrainTimeout: 20 * time.Second},
		Data:       Data{Dir: "osmoslice-data", Synchronous: "full"},
		Log:        Log{Level: "info", Format: "text"},
		Limits:     Limits{BodyBytes: 8 << 20, RatePerSecond: 200, RateBurst: 400, Backlog: 10000},
		Operations: Operations{Workers: 64, SiteConcurrency: 8, Lease: 10 * time.Second, StepTimeout: 2 * time.Minute, Deadline: 15 * time.Minute, RollbackDeadline: 15 * time.Minute, HoldTimeout: time.Hour, MaxAttempts: 8},
		Retention:  Retention{Operations: 30 * day, Events: 7 * day, Idempotency: day},
		Callbacks:  Callbacks{GiveUp: day},
		Host:       Host{Enabled: true},
		Kubernetes: Kubernetes{Enabled: true},
		Simulated:  Simulated{Enabled: true},
		Placement:  Placement{Strategy: "osmotic", Reservation: 10 * time.Minute, MaxReservation: day, Keep: time.Hour},
	}
}
