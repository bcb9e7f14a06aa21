package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// progressEvery is how often a running upgrade is looked at.
const progressEvery = 500 * time.Millisecond

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
	body, err := a.do(ctx, http.MethodGet, "/hotpath/status")
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
	api, err := adminAt(c.admin)
	if err != nil {
		return err
	}
	before, err := api.status(ctx)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := api.do(ctx, http.MethodPost, "/hotpath/upgrade")
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
