package service_test

import (
	"testing"

	"dangri/service/trial"
)

func TestMain(m *testing.M) { trial.Main(m) }
