package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/edgexfoundry/go-mod-core-contracts/v4/common"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos/requests"
	"github.com/edgexfoundry/go-mod-messaging/v4/pkg/types"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// metadata keeps device services, profiles and devices.
type metadata struct{ *core }

func metadataParts() parts {
	return parts{database: true, serve: func(c *core) error {
		m := metadata{c}
		r := c.router
		r.GET(common.ApiAllDeviceServiceRoute, all[dtos.DeviceService](c, "service", "services"))
		r.GET(common.ApiDeviceServiceByNameRoute, one[dtos.DeviceService](c, "service", "fail to query device service by name %s"))
		r.POST(common.ApiDeviceServiceRoute, m.addServices)
		r.PATCH(common.ApiDeviceServiceRoute, m.updateServices)
		r.GET(common.ApiDeviceProfileByNameRoute, one[dtos.DeviceProfile](c, "profile", "fail to query device profile by name %s"))
		r.POST(common.ApiDeviceProfileRoute, m.addProfiles)
		r.DELETE(common.ApiDeviceProfileByNameRoute, m.deleteProfile)
		r.GET(common.ApiAllDeviceRoute, all[dtos.Device](c, "device", "devices"))
		r.GET(common.ApiDeviceByNameRoute, one[dtos.Device](c, "device", "no device with name '%s' found"))
		r.GET(common.ApiDeviceByServiceNameRoute, m.devicesOf)
		r.POST(common.ApiDeviceRoute, m.addDevices)
		r.DELETE(common.ApiDeviceByNameRoute, m.deleteDevice)
		r.GET(common.ApiProvisionWatcherByServiceNameRoute, func(e echo.Context) error {
			return answer(e, http.StatusOK, map[string]any{"totalCount": 0, "provisionWatchers": []any{}})
		})
		return nil
	}}
}

// all answers everything of a kind.
func all[T any](c *core, kind, field string) echo.HandlerFunc {
	return func(e echo.Context) error {
		found, err := list[T](e.Request().Context(), c.db, kind)
		if err != nil {
			return broken(e, err)
		}
		return answer(e, http.StatusOK, map[string]any{"totalCount": len(found), field: found})
	}
}

// one answers what has the name in the path; its field is the kind's.
func one[T any](c *core, kind, missing string) echo.HandlerFunc {
	return func(e echo.Context) error {
		var found T
		ok, err := c.db.get(e.Request().Context(), kind, e.Param("name"), &found)
		switch {
		case err != nil:
			return broken(e, err)
		case !ok:
			return refuse(e, http.StatusNotFound, fmt.Sprintf(missing, e.Param("name")))
		}
		return answer(e, http.StatusOK, map[string]any{kind: found})
	}
}

// each takes a list of requests and answers 207 with the outcome of each. What
// the contracts refuse, the whole is refused for.
func each[T any](e echo.Context, do func(ctx context.Context, in T) map[string]any) error {
	var in []T
	if err := json.NewDecoder(e.Request().Body).Decode(&in); err != nil {
		return refuse(e, http.StatusBadRequest, err.Error())
	}
	out := []any{}
	for _, v := range in {
		out = append(out, do(e.Request().Context(), v))
	}
	return e.JSON(http.StatusMultiStatus, out)
}

func (m metadata) addServices(e echo.Context) error {
	return each(e, func(ctx context.Context, in requests.AddDeviceServiceRequest) map[string]any {
		s := in.Service
		if ok, _ := m.db.get(ctx, "service", s.Name, &dtos.DeviceService{}); ok {
			return item(http.StatusConflict, fmt.Sprintf("device service name %s already exists", s.Name), "")
		}
		s.Id, s.Created = uuid.NewString(), time.Now().UnixMilli()
		s.Modified = s.Created
		return m.made(m.db.put(ctx, "service", s.Name, s), s.Id)
	})
}

func (m metadata) made(err error, id string) map[string]any {
	if err != nil {
		return item(http.StatusInternalServerError, err.Error(), "")
	}
	return item(http.StatusCreated, "", id)
}

func (m metadata) updateServices(e echo.Context) error {
	return each(e, func(ctx context.Context, in requests.UpdateDeviceServiceRequest) map[string]any {
		var s dtos.DeviceService
		if ok, err := m.db.get(ctx, "service", *in.Service.Name, &s); err != nil || !ok {
			return item(http.StatusNotFound, fmt.Sprintf("fail to query device service by name %s", *in.Service.Name), "")
		}
		if in.Service.BaseAddress != nil {
			s.BaseAddress = *in.Service.BaseAddress
		}
		if err := m.db.put(ctx, "service", s.Name, s); err != nil {
			return item(http.StatusInternalServerError, err.Error(), "")
		}
		return item(http.StatusOK, "", "")
	})
}

func (m metadata) addProfiles(e echo.Context) error {
	return each(e, func(ctx context.Context, in requests.DeviceProfileRequest) map[string]any {
		p := in.Profile
		if ok, _ := m.db.get(ctx, "profile", p.Name, &dtos.DeviceProfile{}); ok {
			return item(http.StatusConflict, fmt.Sprintf("device profile name %s already exists", p.Name), "")
		}
		p.Id, p.Created = uuid.NewString(), time.Now().UnixMilli()
		p.Modified = p.Created
		out := m.made(m.db.put(ctx, "profile", p.Name, p), p.Id)
		m.tell(common.DeviceProfileSystemEventType, common.SystemEventActionAdd, common.CoreMetaDataServiceKey, p.Name, p)
		return out
	})
}

func (m metadata) deleteProfile(e echo.Context) error {
	ctx, name := e.Request().Context(), e.Param("name")
	var p dtos.DeviceProfile
	ok, err := m.db.get(ctx, "profile", name, &p)
	if err != nil {
		return broken(e, err)
	}
	if !ok {
		return refuse(e, http.StatusNotFound, fmt.Sprintf("fail to query device profile by name %s", name))
	}
	devices, err := list[dtos.Device](ctx, m.db, "device")
	if err != nil {
		return broken(e, err)
	}
	for _, d := range devices {
		if d.ProfileName == name {
			return refuse(e, http.StatusConflict, "fail to delete the device profile when associated device exists")
		}
	}
	if err := m.db.remove(ctx, "profile", name); err != nil {
		return broken(e, err)
	}
	m.tell(common.DeviceProfileSystemEventType, common.SystemEventActionDelete, common.CoreMetaDataServiceKey, name, p)
	return answer(e, http.StatusOK, nil)
}

func (m metadata) devicesOf(e echo.Context) error {
	devices, err := list[dtos.Device](e.Request().Context(), m.db, "device")
	if err != nil {
		return broken(e, err)
	}
	found := []dtos.Device{}
	for _, d := range devices {
		if d.ServiceName == e.Param("name") {
			found = append(found, d)
		}
	}
	return answer(e, http.StatusOK, map[string]any{"totalCount": len(found), "devices": found})
}

// addDevices asks each device's service whether it takes it, over the bus; one
// that does not answer makes the whole end in 503.
func (m metadata) addDevices(e echo.Context) error {
	silent := false
	err := each(quiet{e, &silent}, func(ctx context.Context, in requests.AddDeviceRequest) map[string]any {
		out, answered := m.addDevice(ctx, in)
		silent = silent || !answered
		return out
	})
	if silent {
		return e.String(http.StatusServiceUnavailable, "request timeout")
	}
	return err
}

// quiet holds back a 207 when a device service was silent.
type quiet struct {
	echo.Context
	silent *bool
}

func (q quiet) JSON(status int, body any) error {
	if *q.silent {
		return nil
	}
	return q.Context.JSON(status, body)
}

func (m metadata) addDevice(ctx context.Context, in requests.AddDeviceRequest) (out map[string]any, answered bool) {
	d := in.Device
	if ok, _ := m.db.get(ctx, "service", d.ServiceName, &dtos.DeviceService{}); !ok {
		return item(http.StatusBadRequest, fmt.Sprintf("device service '%s' does not exists", d.ServiceName), ""), true
	}
	if ok, _ := m.db.get(ctx, "profile", d.ProfileName, &dtos.DeviceProfile{}); !ok {
		return item(http.StatusBadRequest, fmt.Sprintf("device profile '%s' not found during validating device '%s'", d.ProfileName, d.Name), ""), true
	}
	prefix := m.settings.MessageBus.GetBaseTopicPrefix()
	request := types.NewMessageEnvelopeForRequest(in, nil)
	response, err := m.bus.Request(request, prefix+"/"+d.ServiceName+"/"+common.ValidateDeviceSubscribeTopic,
		prefix+"/"+common.ResponseTopic+"/"+d.ServiceName, 5*time.Second)
	if err != nil {
		m.lc.Errorf("device service %s: %v", d.ServiceName, err)
		return nil, false
	}
	if response.ErrorCode != 0 {
		return item(http.StatusInternalServerError, fmt.Sprintf("Device %s validation failed: %v", d.Name, response.Payload), ""), true
	}
	if ok, _ := m.db.get(ctx, "device", d.Name, &dtos.Device{}); ok {
		return item(http.StatusConflict, fmt.Sprintf("device name %s already exists", d.Name), ""), true
	}
	d.Id, d.Created, d.Properties = uuid.NewString(), time.Now().UnixMilli(), map[string]any{}
	d.Modified = d.Created
	out = m.made(m.db.put(ctx, "device", d.Name, d), d.Id)
	m.tell(common.DeviceSystemEventType, common.SystemEventActionAdd, d.ServiceName, d.ProfileName, d)
	return out, true
}

func (m metadata) deleteDevice(e echo.Context) error {
	ctx, name := e.Request().Context(), e.Param("name")
	var d dtos.Device
	ok, err := m.db.get(ctx, "device", name, &d)
	if err != nil {
		return broken(e, err)
	}
	if !ok {
		return refuse(e, http.StatusNotFound, fmt.Sprintf("no device with name '%s' found", name))
	}
	if err := m.db.remove(ctx, "device", name); err != nil {
		return broken(e, err)
	}
	m.tell(common.DeviceSystemEventType, common.SystemEventActionDelete, d.ServiceName, d.ProfileName, d)
	return answer(e, http.StatusOK, nil)
}

// tell publishes a system event, by which device services learn what is theirs.
func (m metadata) tell(kind, action, owner, profile string, details any) {
	event := dtos.NewSystemEvent(kind, action, common.CoreMetaDataServiceKey, owner, nil, details)
	topic := common.BuildTopic(m.settings.MessageBus.GetBaseTopicPrefix(), common.SystemEventPublishTopic, common.CoreMetaDataServiceKey, kind, action, owner, profile)
	envelope := types.NewMessageEnvelope(event, context.Background())
	envelope.ContentType = common.ContentTypeJSON
	if err := m.bus.Publish(envelope, topic); err != nil {
		m.lc.Errorf("system event %s: %v", topic, err)
	}
}
