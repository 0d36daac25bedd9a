package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// answer writes JSON with the envelope that all answers have.
func answer(e echo.Context, status int, fields map[string]any) error {
	body := map[string]any{"apiVersion": "v3", "statusCode": status}
	for k, v := range fields {
		body[k] = v
	}
	return e.JSON(status, body)
}

func refuse(e echo.Context, status int, message string) error {
	return answer(e, status, map[string]any{"message": message})
}

func broken(e echo.Context, err error) error {
	return refuse(e, http.StatusInternalServerError, err.Error())
}

// item is one outcome of a 207.
func item(status int, message, id string) map[string]any {
	m := map[string]any{"apiVersion": "v3", "statusCode": status}
	if message != "" {
		m["message"] = message
	}
	if id != "" {
		m["id"] = id
	}
	return m
}
