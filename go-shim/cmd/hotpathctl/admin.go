package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

const (
	// whoHeader is that of package shimadmin. This program does not use that package, because it needs all that the shim needs.
	whoHeader = "X-Hotpath-Who"
	// maxAnswerBytes bounds what is read of an answer.
	maxAnswerBytes = 4 << 20
)

// adminAPI is the admin API of a service, as package shimadmin serves it.
type adminAPI struct {
	base   string
	client *http.Client
}

// adminAt takes an address such as http://127.0.0.1:7451, or unix:PATH.
func adminAt(address string) (*adminAPI, error) {
	if socket, isSocket := strings.CutPrefix(address, "unix:"); isSocket {
		if socket == "" {
			return nil, mistake("--admin %s: unix: needs the path of a socket", address)
		}
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
		return &adminAPI{"http://localhost", &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
	}
	u, err := url.Parse(address)
	path := ""
	if err == nil {
		path = strings.Trim(u.Path, "/")
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || path != "" && path != "hotpath" || u.RawQuery != "" {
		return nil, mistake("--admin %s: must be unix:PATH, or an address such as http://127.0.0.1:7451", address)
	}
	return &adminAPI{u.Scheme + "://" + u.Host, http.DefaultClient}, nil
}

// do returns the body of a good answer.
func (a *adminAPI) do(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(nil))
	if err != nil {
		return nil, mistake("--admin: %w", err)
	}
	request.Header.Set(whoHeader, whoami())
	response, err := a.client.Do(request)
	if err != nil {
		return nil, failure{exitNotSeen, fmt.Errorf("--admin: %w", err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, failure{exitNotSeen, fmt.Errorf("--admin: %w", err)}
	}
	if response.StatusCode == http.StatusOK {
		return body, nil
	}
	var refusal struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &refusal) != nil || refusal.Error == "" {
		refusal.Error = response.Status
	}
	return nil, failure{exitGate, errors.New(refusal.Error)}
}
