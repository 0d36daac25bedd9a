package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos/requests"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/models"
	"github.com/edgexfoundry/go-mod-messaging/v4/pkg/types"
	"github.com/labstack/echo/v4"
)

// keeper is the key-value store and the registry.
type keeper struct{ *core }

func keeperParts() parts {
	return parts{database: true, serve: func(c *core) error {
		k := keeper{c}
		c.router.GET("/api/v3/kvs/key/:key", k.keys)
		c.router.PUT("/api/v3/kvs/key/:key", k.put)
		c.router.GET("/api/v3/registry/all", k.registry)
		c.router.GET("/api/v3/registry/serviceId/:serviceId", k.registered)
		c.router.POST("/api/v3/registry", k.register)
		c.router.PUT("/api/v3/registry", k.register)
		c.router.DELETE("/api/v3/registry/serviceId/:serviceId", k.deregister)
		go k.watch()
		return nil
	}}
}

type entry struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// keys answers what is at a key or below it.
func (k keeper) keys(e echo.Context) error {
	all, err := list[entry](e.Request().Context(), k.db, "key")
	if err != nil {
		return broken(e, err)
	}
	key, found := strings.TrimSuffix(e.Param("key"), "/"), []any{}
	for _, v := range all {
		if v.Key != key && !strings.HasPrefix(v.Key, key+"/") {
			continue
		}
		switch {
		case e.QueryParam("keyOnly") == "true":
			found = append(found, v.Key)
		case e.QueryParam("plaintext") == "true":
			found = append(found, v)
		default:
			found = append(found, entry{v.Key, base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(v.Value)))})
		}
	}
	if len(found) == 0 {
		return refuse(e, http.StatusNotFound, fmt.Sprintf("query key %s not found", key))
	}
	return answer(e, http.StatusOK, map[string]any{"response": found})
}

// put stores a value, or with flatten the members of an object, and tells
// whoever watches on the message bus.
func (k keeper) put(e echo.Context) error {
	var in requests.UpdateKeysRequest
	if err := json.NewDecoder(e.Request().Body).Decode(&in); err != nil {
		return refuse(e, http.StatusBadRequest, err.Error())
	}
	key, flat := strings.TrimSuffix(e.Param("key"), "/"), map[string]any{}
	if e.QueryParam("flatten") == "true" {
		flatten(flat, key, in.Value)
	} else {
		flat[key] = in.Value
	}
	names := []string{}
	for name, value := range flat {
		if err := k.db.put(e.Request().Context(), "key", name, entry{name, value}); err != nil {
			return broken(e, err)
		}
		names = append(names, name)
	}
	change := models.KVS{Key: key}
	change.Value = in.Value
	envelope := types.NewMessageEnvelope(change, context.Background())
	envelope.ContentType = echo.MIMEApplicationJSON
	if err := k.bus.Publish(envelope, k.settings.MessageBus.BaseTopicPrefix+"/"+key); err != nil {
		k.lc.Errorf("change of %s: %v", key, err)
	}
	return answer(e, http.StatusOK, map[string]any{"response": names})
}

func flatten(into map[string]any, key string, value any) {
	members, ok := value.(map[string]any)
	if !ok {
		into[key] = fmt.Sprint(value)
		return
	}
	for name, v := range members {
		flatten(into, key+"/"+name, v)
	}
}

func (k keeper) registry(e echo.Context) error {
	all, err := list[dtos.Registration](e.Request().Context(), k.db, "registration")
	if err != nil {
		return broken(e, err)
	}
	return answer(e, http.StatusOK, map[string]any{"totalCount": len(all), "registrations": all})
}

func (k keeper) registered(e echo.Context) error {
	var r dtos.Registration
	ok, err := k.db.get(e.Request().Context(), "registration", e.Param("serviceId"), &r)
	switch {
	case err != nil:
		return broken(e, err)
	case !ok:
		return refuse(e, http.StatusNotFound, fmt.Sprintf("fail to query registration by service id %s", e.Param("serviceId")))
	}
	return answer(e, http.StatusOK, map[string]any{"registration": r})
}

// register takes a service, whose status is unknown until it was looked at.
func (k keeper) register(e echo.Context) error {
	var in requests.AddRegistrationRequest
	if err := json.NewDecoder(e.Request().Body).Decode(&in); err != nil {
		return refuse(e, http.StatusBadRequest, err.Error())
	}
	in.Registration.Status = "UNKNOWN"
	if err := k.db.put(e.Request().Context(), "registration", in.Registration.ServiceId, in.Registration); err != nil {
		return broken(e, err)
	}
	return answer(e, http.StatusCreated, nil)
}

func (k keeper) deregister(e echo.Context) error {
	if err := k.db.remove(e.Request().Context(), "registration", e.Param("serviceId")); err != nil {
		return broken(e, err)
	}
	return answer(e, http.StatusOK, nil)
}

// watch asks every registered service for its ping, where it said it is: others
// learn from the registry whether it is up.
func (k keeper) watch() {
	client := &http.Client{Timeout: 5 * time.Second}
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-tick.C:
		}
		all, err := list[dtos.Registration](k.ctx, k.db, "registration")
		if err != nil {
			k.lc.Errorf("registry: %v", err)
			continue
		}
		for _, r := range all {
			status := "UP"
			if err := ping(k.ctx, client, "http://"+net.JoinHostPort(r.Host, strconv.Itoa(r.Port))+r.HealthCheck.Path); err != nil {
				k.lc.Warnf("%s: %v", r.ServiceId, err)
				status = "DOWN"
			}
			if status != r.Status {
				r.Status = status
				if err := k.db.put(k.ctx, "registration", r.ServiceId, r); err != nil {
					k.lc.Errorf("registry: %v", err)
				}
			}
		}
	}
}

func ping(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(address + " answers " + response.Status)
	}
	return nil
}
