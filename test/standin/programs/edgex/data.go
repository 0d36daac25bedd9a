package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos/requests"
	"github.com/edgexfoundry/go-mod-messaging/v4/pkg/types"
	"github.com/labstack/echo/v4"
)

// data keeps the events that device services publish.
type data struct{ *core }

func dataParts() parts {
	return parts{database: true, serve: func(c *core) error {
		d := data{c}
		c.router.GET("/api/v3/event/all", d.events)
		c.router.GET("/api/v3/event/device/name/:name", d.events)
		c.router.GET("/api/v3/event/count/device/name/:name", d.count)
		messages, failures := make(chan types.MessageEnvelope), make(chan error)
		topic := c.settings.MessageBus.GetBaseTopicPrefix() + "/events/device/#"
		if err := c.bus.Subscribe([]types.TopicChannel{{Topic: topic, Messages: messages}}, failures); err != nil {
			return err
		}
		go d.take(messages, failures)
		return nil
	}}
}

func (d data) take(messages chan types.MessageEnvelope, failures chan error) {
	for {
		select {
		case <-d.ctx.Done():
			return
		case err := <-failures:
			d.lc.Errorf("message bus: %v", err)
		case m := <-messages:
			r, err := types.GetMsgPayload[requests.AddEventRequest](m)
			if err == nil {
				err = r.Validate()
			}
			if err == nil {
				err = d.db.put(d.ctx, "event", r.Event.Id, r.Event)
			}
			if err != nil {
				d.lc.Errorf("event on %s: %v", m.ReceivedTopic, err)
			}
		}
	}
}

// of answers the events of a device, or all, newest first.
func (d data) of(ctx context.Context, device string) ([]dtos.Event, error) {
	all, err := list[dtos.Event](ctx, d.db, "event")
	all = slices.DeleteFunc(all, func(e dtos.Event) bool { return device != "" && e.DeviceName != device })
	slices.Reverse(all)
	return all, err
}

func (d data) events(e echo.Context) error {
	all, err := d.of(e.Request().Context(), e.Param("name"))
	if err != nil {
		return broken(e, err)
	}
	limit, err := strconv.Atoi(e.QueryParam("limit"))
	if err != nil {
		limit = 20
	}
	return answer(e, http.StatusOK, map[string]any{"totalCount": len(all), "events": all[:min(max(limit, 0), len(all))]})
}

func (d data) count(e echo.Context) error {
	all, err := d.of(e.Request().Context(), e.Param("name"))
	if err != nil {
		return broken(e, err)
	}
	return answer(e, http.StatusOK, map[string]any{"count": len(all)})
}
