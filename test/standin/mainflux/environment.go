package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// environment takes what is Mainflux's from the environment; what is not set has
// Mainflux's own default, which is often not what works. A variable that none of
// its services knows is refused: the real ones would not notice.
func environment(all []string) (map[string]string, error) {
	env := maps.Clone(known())
	for _, v := range all {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "MF_") {
			continue
		}
		if _, ok := env[name]; !ok {
			return nil, fmt.Errorf("%s is no variable of Mainflux 0.12; allowed: %s", name, strings.Join(slices.Sorted(maps.Keys(known())), ", "))
		}
		env[name] = value
	}
	return env, nil
}

// known are the variables with their defaults.
func known() map[string]string {
	env := map[string]string{
		"MF_NATS_URL": "nats://localhost:4222", "MF_JAEGER_URL": "",
		"MF_AUTH_GRPC_URL": "localhost:8181", "MF_AUTH_GRPC_TIMEOUT": "1s",
		"MF_THINGS_AUTH_GRPC_URL": "localhost:8181", "MF_THINGS_AUTH_GRPC_TIMEOUT": "1s",
		"MF_AUTH_HTTP_PORT": "8180", "MF_AUTH_GRPC_PORT": "8181", "MF_AUTH_SECRET": "auth",
		"MF_USERS_HTTP_PORT": "8180", "MF_USERS_ADMIN_EMAIL": "", "MF_USERS_ADMIN_PASSWORD": "", "MF_USERS_PASS_REGEX": "^.{8,}$",
		"MF_EMAIL_HOST": "localhost", "MF_EMAIL_PORT": "25", "MF_EMAIL_USERNAME": "root", "MF_EMAIL_PASSWORD": "",
		"MF_EMAIL_FROM_ADDRESS": "", "MF_EMAIL_FROM_NAME": "", "MF_EMAIL_TEMPLATE": "email.tmpl", "MF_TOKEN_RESET_ENDPOINT": "/reset-request",
		"MF_THINGS_HTTP_PORT": "8180", "MF_THINGS_AUTH_HTTP_PORT": "8989", "MF_THINGS_AUTH_GRPC_PORT": "8181",
		"MF_THINGS_CACHE_URL": "localhost:6379", "MF_THINGS_CACHE_PASS": "", "MF_THINGS_CACHE_DB": "0",
		"MF_THINGS_ES_URL": "localhost:6379", "MF_THINGS_ES_PASS": "", "MF_THINGS_ES_DB": "0",
		"MF_HTTP_ADAPTER_PORT": "8180", "MF_COAP_ADAPTER_PORT": "5683",
		"MF_MQTT_ADAPTER_MQTT_PORT": "1883", "MF_MQTT_ADAPTER_MQTT_TARGET_HOST": "0.0.0.0", "MF_MQTT_ADAPTER_MQTT_TARGET_PORT": "1883",
		"MF_MQTT_ADAPTER_MQTT_TARGET_HEALTH_CHECK": "", "MF_MQTT_ADAPTER_FORWARDER_TIMEOUT": "30s",
		"MF_MQTT_ADAPTER_WS_PORT": "8080", "MF_MQTT_ADAPTER_WS_TARGET_HOST": "localhost", "MF_MQTT_ADAPTER_WS_TARGET_PORT": "8080",
		"MF_MQTT_ADAPTER_WS_TARGET_PATH": "/mqtt", "MF_MQTT_ADAPTER_INSTANCE": "",
		"MF_MQTT_ADAPTER_ES_URL": "localhost:6379", "MF_MQTT_ADAPTER_ES_PASS": "", "MF_MQTT_ADAPTER_ES_DB": "0",
		"MF_AUTH_CACHE_URL": "localhost:6379", "MF_AUTH_CACHE_PASS": "", "MF_AUTH_CACHE_DB": "0",
		"MF_POSTGRES_WRITER_PORT": "8180", "MF_POSTGRES_WRITER_CONFIG_PATH": "/config.toml",
		"MF_POSTGRES_WRITER_CONTENT_TYPE": "application/senml+json", "MF_POSTGRES_WRITER_TRANSFORMER": "senml",
		"MF_POSTGRES_READER_PORT": "8180",
		"MF_INFLUX_WRITER_PORT":   "8180", "MF_INFLUX_WRITER_CONFIG_PATH": "/config.toml", "MF_INFLUX_WRITER_CONTENT_TYPE": "application/senml+json",
		"MF_INFLUX_WRITER_TRANSFORMER": "senml", "MF_INFLUX_WRITER_DB_HOST": "localhost", "MF_INFLUX_WRITER_DB_PORT": "8086",
		"MF_INFLUXDB_HOST": "localhost", "MF_INFLUXDB_PORT": "8086", "MF_INFLUXDB_DB": "mainflux",
		"MF_INFLUXDB_ADMIN_USER": "mainflux", "MF_INFLUXDB_ADMIN_PASSWORD": "mainflux",
	}
	for _, s := range []string{"AUTH", "USERS", "THINGS", "HTTP_ADAPTER", "MQTT_ADAPTER", "COAP_ADAPTER", "POSTGRES_WRITER", "POSTGRES_READER", "INFLUX_WRITER"} {
		env["MF_"+s+"_LOG_LEVEL"] = "error"
	}
	for prefix, name := range map[string]string{
		"MF_AUTH_DB": "auth", "MF_USERS_DB": "users", "MF_THINGS_DB": "things", "MF_POSTGRES_WRITER_DB": "mainflux", "MF_POSTGRES_READER_DB": "mainflux",
	} {
		env[prefix] = name
		for suffix, value := range map[string]string{"HOST": "localhost", "PORT": "5432", "USER": "mainflux", "PASS": "mainflux", "SSL_MODE": "disable"} {
			env[prefix+"_"+suffix] = value
		}
	}
	return env
}
