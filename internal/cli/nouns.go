package cli

import "slices"

// nouns is the table of everything that can be created, read, listed, changed
// and deleted. It is filled once, here.
var nouns = slices.Concat(places(), members(), others(), networks())

func places() []*noun {
	return []*noun{
		{
			name: "infrastructure", aliases: []string{"infra"}, what: "an infrastructure", collection: "infrastructures",
			converges: true, cascades: true, shared: true,
			columns: withMeta(column{"KIND", "kind", false}, column{"PLUGIN", "plugin", false}, column{"STATE", "state", false},
				column{"CORDONED", "cordoned", true}, column{"AREA", "area", true}, column{"CAUSE", "cause", false}),
			fields: []field{
				{"kind", "kind", str, "DEVICE_EDGE, NETWORK_EDGE, FOG, CLOUD, ACCESS, TRANSPORT or CORE"},
				{"plugin", "plugin", str, "domain plugin: host, simulated, …"},
				{"connection", "connection", object, "connection data of the plugin, as a JSON object"},
				{"secret-ref", "secretRefs", pairs, "secret for the connection: NAME=SECRET"},
				{"provider", "provider", str, "who runs it"},
				{"address", "address", str, "where it is"},
				{"mobility", "mobility", str, "FIXED or MOBILE"},
				{"area", "area", str, "residency area, for example EU/IT"},
				{"access", "accessTechnologies", words, "access technologies"},
				{"access-latency", "accessLatencyMs", num, "one-way latency from the devices, ms"},
				{"intra-latency", "intraLatencyMs", num, "latency between its nodes, ms"},
				{"intra-bandwidth", "intraBandwidthKbit", num, "bandwidth between its nodes, kbit/s"},
				{"share", "sharedWith", words, "tenants that may use it; * is all"},
				{"price", "pricePerCpuHour", num, "price per core and hour"},
				{"security-level", "securityLevel", num, "0 to 100"},
				{"concurrency", "concurrency", num, "steps that run there side by side"},
				{"cordoned", "cordoned", yes, "keep new functions away"},
			},
		},
		{
			name: "node", what: "a node of an infrastructure", collection: "nodes", parent: "infrastructure",
			nested: true, shared: true,
			columns: withMeta(column{"ARCH", "architecture", false}, column{"CPU", "cpuMilli", false}, column{"MEMORY", "memoryMiB", false},
				column{"STORAGE", "storageMiB", false}, column{"STATE", "state", false}, column{"ORIGIN", "origin", true}, column{"CAUSE", "cause", true}),
			fields: []field{
				{"arch", "architecture", str, "amd64, arm64, arm, …"},
				{"cpu", "cpuMilli", num, "milli-cores"},
				{"memory", "memoryMiB", num, "MiB"},
				{"storage", "storageMiB", num, "MiB"},
				{"unlimited", "unlimited", yes, "capacity without limit"},
				{"ip", "ipAddress", str, "IP address"},
				{"mac", "macAddress", str, "MAC address"},
				{"device-type", "deviceType", str, "MCU, MPU, VM or PHYSICAL"},
				{"software", "software", words, "software it has"},
				{"thing", "things", words, "things attached to it"},
				{"access", "accessTechnologies", words, "access technologies"},
				{"tag", "tags", words, "tags"},
				{"cordoned", "cordoned", yes, "keep new functions away"},
			},
		},
		{
			name: "link", what: "a directed link", collection: "links", parent: "infrastructure",
			nested: true, shared: true,
			columns: []column{
				{"FROM", "from", false}, {"TO", "to", false}, {"LEVEL", "level", false}, {"LATENCY", "latencyMs", false},
				{"BANDWIDTH", "bandwidthKbit", false}, {"LOSS", "loss", false}, {"NAME", "name", true}, {"ID", "id", false},
			},
			fields: []field{
				{"from", "from", str, "node (NAME, or INFRASTRUCTURE/NAME elsewhere) or infrastructure, by id or name"},
				{"to", "to", str, "node (NAME, or INFRASTRUCTURE/NAME elsewhere) or infrastructure, by id or name"},
				{"level", "level", str, "NODE or INFRASTRUCTURE"},
				{"latency", "latencyMs", num, "one-way latency, ms"},
				{"bandwidth", "bandwidthKbit", num, "kbit/s"},
				{"loss", "loss", num, "fraction lost, 0 to 1"},
			},
		},
		{
			name: "product", what: "a product of the catalogue", collection: "products",
			converges: true, shared: true,
			columns: withMeta(column{"VERSION", "version", false}, column{"KIND", "elementKind", false},
				column{"PLATFORM", "platform", false}, column{"DRIVERS", "packaging", false}, column{"PROTOCOLS", "protocols", true}),
			fields: []field{
				{"version", "version", str, "version"},
				{"element-kind", "elementKind", str, "gateway, server or microElement"},
				{"platform", "platform", str, "adapter that talks to its API"},
			},
		},
	}
}

func members() []*noun {
	return []*noun{
		{
			name: "slice", what: "an IoT slice", collection: "iotSlices",
			converges: true, cascades: true, bringsAbout: true,
			columns: withMeta(column{"STATE", "state", false}, column{"PRIORITY", "priority", false},
				column{"OPERATION", "currentOperationId", false}, column{"CUSTOMER", "customerRef", true}, column{"CAUSE", "cause", false}),
			fields: []field{
				{"priority", "priority", num, "0 (default) to 9; higher is served first"},
				{"on-failure", "onFailure", str, "rollback or hold"},
				{"customer", "customerRef", str, "reference of the customer"},
				{"instantiate", "instantiate", yes, "instantiate at once (create only)"},
			},
		},
		{
			name: "server", what: "an IoT server of a slice", collection: "iotServers", parent: "slice",
			columns: elementColumns(), fields: elementFields(false),
		},
		{
			name: "gateway", aliases: []string{"gw"}, what: "an IoT gateway of a slice", collection: "iotGateways", parent: "slice",
			columns: elementColumns(column{"SERVER", "iotServer", false}), fields: elementFields(true),
		},
		{
			name: "element", aliases: []string{"mel"}, what: "a microElement of a slice", collection: "microElements", parent: "slice",
			columns: elementColumns(column{"CLASS", "melClass", false}, column{"SERVER", "iotServer", false}),
			fields:  append(elementFields(true), field{"class", "melClass", str, "MUS (user) or MOS (operational)"}),
		},
		{
			name: "data", aliases: []string{"flow"}, what: "an information flow (microData) of a slice", collection: "microData", parent: "slice",
			columns: withMeta(column{"FROM", "from", false}, column{"TO", "to", false}, column{"CLASS", "dataClass", false},
				column{"MODE", "mode", false}, column{"SLICE", "iotSliceId", true}),
			fields: []field{
				{"from", "from", str, "member it comes from"},
				{"to", "to", str, "member it goes to"},
				{"class", "dataClass", str, "MUD (user) or MOD (operational)"},
				{"mode", "mode", str, "ACTIVE (pushed) or PASSIVE (fetched)"},
				{"format", "format", str, "format"},
				{"rate", "ratePerSecond", num, "messages per second"},
				{"max-latency", "maxLatencyMs", num, "ms"},
				{"bandwidth", "bandwidthKbit", num, "kbit/s"},
			},
		},
		{
			name: "device", what: "an IoT device of a slice", collection: "iotDevices", parent: "slice",
			columns: withMeta(column{"GATEWAY", "iotGateway", false}, column{"PROTOCOL", "protocol", false}, column{"STATE", "state", false},
				column{"FORMAT", "format", true}, column{"SLICE", "iotSliceId", true}, column{"CAUSE", "cause", false}),
			fields: []field{
				{"gateway", "iotGateway", str, "gateway of the slice, by name"},
				{"protocol", "protocol", str, "MQTT, HTTP or COAP"},
				{"address", "address", str, "where commands reach it, host:port or URL"},
				{"format", "format", str, "SENML_JSON, SENML_CBOR, PLAIN or JSON"},
				{"magnitude", "magnitudes", items, "what it measures: NAME[:UNIT[:TYPE]]"},
				{"action", "actions", items, "what it can be told: NAME[:UNIT[:TYPE]]"},
				{"credentials", "credentialsRef", str, "secret it authenticates with"},
				{"virtual", "virtual", yes, "not a physical thing"},
			},
		},
	}
}

func elementColumns(more ...column) []column {
	columns := append([]column{{"PRODUCT", "product", false}, {"STATE", "state", false}}, more...)
	return withMeta(append(columns, column{"NODE", "deployment.nodeId", true}, column{"ENDPOINTS", "deployment.endpoints", true},
		column{"SLICE", "iotSliceId", true}, column{"CAUSE", "cause", false})...)
}

func elementFields(feeds bool) []field {
	fields := []field{
		{"product", "product", str, "product of the catalogue"},
		{"product-version", "productVersion", str, "version; the newest when not given"},
		{"configuration", "configuration", pairs, "configuration: NAME=VALUE"},
		{"secret-ref", "secretRefs", pairs, "configuration from a secret: NAME=SECRET"},
		{"credentials", "credentialsRef", str, "secret that administers it"},
		{"replicas", "replicas", num, "replicas"},
		{"cpu", "requirements.cpuMilli", num, "milli-cores it needs"},
		{"memory", "requirements.memoryMiB", num, "MiB it needs"},
		{"max-latency", "requirements.maxLatencyMs", num, "one-way latency from what feeds it, ms"},
		{"infrastructure", "placementPolicy.infrastructures", words, "only at these"},
		{"kind", "placementPolicy.kinds", words, "only at these tiers"},
		{"node", "placementPolicy.nodes", words, "only on these nodes"},
	}
	if feeds {
		fields = append(fields, field{"server", "iotServer", str, "server it feeds, by name"})
	}
	return fields
}

func others() []*noun {
	return []*noun{
		{
			name: "operation", aliases: []string{"op"}, what: "a lifecycle operation", collection: "lcmOpOccs",
			readOnly: true, shared: true,
			columns: []column{
				{"ID", "id", false}, {"TYPE", "lcmOperationType", false}, {"SLICE", "iotSliceId", false}, {"STATE", "operationState", false},
				{"STARTED", "startTime", false}, {"FINISHED", "finishTime", true}, {"CAUSE", "firstRootCause.detail", false},
			},
		},
		{
			name: "tenant", what: "a tenant", collection: "tenants",
			converges: true, shared: true,
			columns: withMeta(column{"DISPLAY NAME", "displayName", false}, column{"SUSPENDED", "suspended", false}, column{"MAX SLICES", "maxSlices", false}),
			fields: []field{
				{"display-name", "displayName", str, "name for people"},
				{"max-slices", "maxSlices", num, "how many slices it may have; 0: no bound"},
				{"suspended", "suspended", yes, "refuse its orders"},
			},
		},
		{
			name: "key", what: "an API key", collection: "apiKeys", noPatch: true, ownCreate: true, shared: true,
			columns: withMeta(column{"ROLE", "role", false}, column{"PREFIX", "prefix", false}, column{"TENANTS", "tenantIds", false},
				column{"EXPIRES", "expiresAt", false}, column{"REVOKED", "revokedAt", false}),
		},
		{
			name: "secret", what: "a secret", collection: "secrets", noPatch: true, ownCreate: true,
			columns: withMeta(column{"VERSION", "version", false}, column{"SIZE", "size", false}, column{"GENERATED", "generated", false},
				column{"OWNER", "ownerId", true}),
		},
		{
			name: "subscription", what: "a webhook for events", collection: "subscriptions",
			columns: withMeta(column{"CALLBACK", "callbackUri", false}, column{"STATE", "state", false}, column{"POSITION", "position", false},
				column{"FILTER", "filter", true}, column{"CAUSE", "cause", false}),
			fields: []field{
				{"callback", "callbackUri", str, "URL that events are posted to"},
				{"filter", "filter", str, "attribute filter over events"},
			},
		},
		{
			name: "audit", what: "the audit trail", collection: "auditRecords", readOnly: true, listOnly: true,
			columns: []column{
				{"TIME", "time", false}, {"ACTOR", "actorId", false}, {"ACTION", "action", false}, {"KIND", "resourceKind", false},
				{"NAME", "resourceName", false}, {"OPERATION", "lcmOpOccId", true}, {"REQUEST", "requestId", true}, {"ID", "id", true},
			},
		},
	}
}

func networks() []*noun {
	return []*noun{
		{
			name: "network-slice", refs: map[string]string{"networkSliceSubnetIds": "network-subnet"},
			what: "a 3GPP network slice", collection: "networkSlices", cascades: true,
			columns: withMeta(column{"STATE", "state", false}, column{"SUBNETS", "networkSliceSubnetIds", true}),
		},
		{
			name: "network-subnet", refs: map[string]string{"networkSliceId": "network-slice", "networkFunctionIds": "network-function"},
			what: "a network slice subnet", collection: "networkSliceSubnets",
			columns: withMeta(column{"TYPE", "networkSliceSubnetType", false}, column{"NETWORK SLICE", "networkSliceId", false}, column{"STATE", "state", false}),
			fields: []field{
				{"network-slice", "networkSliceId", str, "network slice, by id or name"},
				{"type", "networkSliceSubnetType", str, "TOP_SLICESUBNET, RAN_SLICESUBNET, CN_SLICESUBNET or TRANSPORT"},
				{"rat", "rat", words, "radio access technologies"},
			},
		},
		{
			name: "network-function", refs: map[string]string{"infrastructureId": "infrastructure", "networkSliceId": "network-slice"},
			what: "a network function", collection: "networkFunctions",
			columns: withMeta(column{"TYPE", "networkFunctionType", false}, column{"INFRASTRUCTURE", "infrastructureId", false}, column{"STATE", "state", false}),
			fields: []field{
				{"type", "networkFunctionType", str, "VNF or PNF"},
				{"infrastructure", "infrastructureId", str, "where it is, by id or name"},
			},
		},
		{
			name: "communication-service", refs: map[string]string{"iotSliceIds": "slice"},
			what: "a communication service", collection: "communicationServices",
			columns: withMeta(column{"TYPE", "serviceType", false}, column{"CUSTOMER", "customer", false}, column{"STATE", "state", false}),
			fields: []field{
				{"customer", "customer", str, "whom it serves"},
				{"type", "serviceType", str, "kind of service"},
				{"slice", "iotSliceIds", words, "slices that deliver it"},
			},
		},
	}
}
