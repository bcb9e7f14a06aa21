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
	"strings"
	"time"
)

const (
	// progressEvery is how often a running upgrade is looked at.
	progressEvery = 500 * time.Millisecond
	// maxAnswerBytes bounds what is read of an answer.
	maxAnswerBytes = 4 << 20
)

// adminAPI is the admin API of a service, as package shimadmin serves it.
type adminAPI struct {
	base   string
	client *http.Client
}

// apiAt takes a URL, or unix:PATH.
func apiAt(address string) (*adminAPI, error) {
	if path, local := strings.CutPrefix(address, "unix:"); local {
		var dialer net.Dialer
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }
		return &adminAPI{"http://localhost", &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
	}
	if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		return nil, mistake("--admin %q: must be a URL such as http://127.0.0.1:7451, or unix: and the path of a socket", address)
	}
	return &adminAPI{strings.TrimSuffix(strings.TrimSuffix(address, "/"), "/hotpath"), http.DefaultClient}, nil
}

// do returns the body of a good answer.
func (a *adminAPI) do(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.base+"/hotpath/"+path, bytes.NewReader(nil))
	if err != nil {
		return nil, mistake("--admin: %w", err)
	}
	request.Header.Set("X-Hotpath-Who", whoami())
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

// upgradeStatus is what the status says about the upgrade.
type upgradeStatus struct {
	Sidecars []struct {
		PID int `json:"pid"`
	} `json:"sidecars"`
	Upgrade struct {
		Running bool   `json:"running"`
		Sidecar int    `json:"sidecar"`
		Phase   string `json:"phase"`
	} `json:"upgrade"`
}

func (a *adminAPI) status(ctx context.Context) (upgradeStatus, error) {
	var now upgradeStatus
	body, err := a.do(ctx, http.MethodGet, "status")
	if err == nil {
		err = json.Unmarshal(body, &now)
	}
	return now, err
}

func (s upgradeStatus) pids() string {
	var pids []string
	for _, sidecar := range s.Sidecars {
		pids = append(pids, fmt.Sprint(sidecar.PID))
	}
	return strings.Join(pids, " and ")
}

// upgrade has the service upgrade its sidecars, and tells how far it is.
func (c *command) upgrade(ctx context.Context) error {
	if err := need("--admin", c.admin); err != nil {
		return err
	}
	api, err := apiAt(c.admin)
	if err != nil {
		return err
	}
	before, err := api.status(ctx)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := api.do(ctx, http.MethodPost, "upgrade")
		done <- err
	}()
	looks := time.NewTicker(progressEvery)
	defer looks.Stop()
	for told := ""; ; {
		select {
		case err := <-done:
			return c.upgraded(ctx, api, before, err)
		case <-looks.C:
		}
		now, err := api.status(ctx)
		if text := fmt.Sprintf("sidecar %d: %s", now.Upgrade.Sidecar, now.Upgrade.Phase); err == nil && now.Upgrade.Phase != "" && text != told {
			told = text
			fmt.Fprintln(c.out, text)
		}
	}
}

func (c *command) upgraded(ctx context.Context, api *adminAPI, before upgradeStatus, err error) error {
	switch {
	case ctx.Err() != nil:
		return failure{exitNotSeen, errors.New("interrupted; the upgrade goes on, and /hotpath/status tells how far it is")}
	case err != nil:
		return fmt.Errorf("not upgraded: %w", err)
	}
	after, err := api.status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "upgraded: process %s in the place of %s\n", after.pids(), before.pids())
	return nil
}
