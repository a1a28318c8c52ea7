/**
 * All commands of the standard that there are here, for tests that look at each of them.
 *
 * A module is named once, and gives every command that it exports; `fuzz.test.ts` fails when a module is forgotten.
 */

import * as activateSession from "../app/activate-session.ts";
import * as bmcGlobalEnables from "../app/bmc-global-enables.ts";
import * as closeSession from "../app/close-session.ts";
import * as getChannelAuthenticationCapabilities from "../app/get-channel-authentication-capabilities.ts";
import * as getChannelCipherSuites from "../app/get-channel-cipher-suites.ts";
import * as getDeviceId from "../app/get-device-id.ts";
import * as getGuid from "../app/get-guid.ts";
import * as getSelfTestResults from "../app/get-self-test-results.ts";
import * as getSessionChallenge from "../app/get-session-challenge.ts";
import * as messageFlags from "../app/message-flags.ts";
import * as readEventMessageBuffer from "../app/read-event-message-buffer.ts";
import * as resetDevice from "../app/reset-device.ts";
import * as setSessionPrivilegeLevel from "../app/set-session-privilege-level.ts";
import * as watchdogTimer from "../app/watchdog-timer.ts";
import * as chassisControl from "../chassis/chassis-control.ts";
import * as chassisIdentify from "../chassis/chassis-identify.ts";
import * as getChassisCapabilities from "../chassis/get-chassis-capabilities.ts";
import * as getChassisStatus from "../chassis/get-chassis-status.ts";
import * as getPohCounter from "../chassis/get-poh-counter.ts";
import * as getSystemRestartCause from "../chassis/get-system-restart-cause.ts";
import * as setPowerRestorePolicy from "../chassis/set-power-restore-policy.ts";
import * as fruData from "../fru/fru-data.ts";
import * as getFruInventoryAreaInfo from "../fru/get-fru-inventory-area-info.ts";
import type { IpmiCommand } from "../ipmi.ts";
import * as alertImmediate from "../pef/alert-immediate.ts";
import * as armPefPostponeTimer from "../pef/arm-pef-postpone-timer.ts";
import * as getPefCapabilities from "../pef/get-pef-capabilities.ts";
import * as lanDestination from "../pef/lan-destination.ts";
import * as lastProcessedEvent from "../pef/last-processed-event.ts";
import * as pefParameters from "../pef/pef-parameters.ts";
import * as petAcknowledge from "../pef/pet-acknowledge.ts";
import * as getDeviceSdrInfo from "../sdr/get-device-sdr-info.ts";
import * as getSdr from "../sdr/get-sdr.ts";
import * as getSdrRepositoryAllocationInfo from "../sdr/get-sdr-repository-allocation-info.ts";
import * as getSdrRepositoryInfo from "../sdr/get-sdr-repository-info.ts";
import * as addSelEntry from "../sel/add-sel-entry.ts";
import * as clearSel from "../sel/clear-sel.ts";
import * as deleteSelEntry from "../sel/delete-sel-entry.ts";
import * as getSelAllocationInfo from "../sel/get-sel-allocation-info.ts";
import * as getSelEntry from "../sel/get-sel-entry.ts";
import * as getSelInfo from "../sel/get-sel-info.ts";
import * as reserveSel from "../sel/reserve-sel.ts";
import * as selTime from "../sel/sel-time.ts";
import * as eventReceiver from "../sensor/event-receiver.ts";
import * as getSensorReading from "../sensor/get-sensor-reading.ts";
import * as getSensorReadingFactors from "../sensor/get-sensor-reading-factors.ts";
import * as platformEvent from "../sensor/platform-event.ts";
import * as sensorEventEnable from "../sensor/sensor-event-enable.ts";
import * as sensorEventStatus from "../sensor/sensor-event-status.ts";
import * as sensorHysteresis from "../sensor/sensor-hysteresis.ts";
import * as sensorThresholds from "../sensor/sensor-thresholds.ts";
import * as sensorType from "../sensor/sensor-type.ts";

const MODULES: readonly object[] = [
  activateSession,
  bmcGlobalEnables,
  closeSession,
  getChannelAuthenticationCapabilities,
  getChannelCipherSuites,
  getDeviceId,
  getGuid,
  getSelfTestResults,
  getSessionChallenge,
  messageFlags,
  readEventMessageBuffer,
  resetDevice,
  setSessionPrivilegeLevel,
  watchdogTimer,
  chassisControl,
  chassisIdentify,
  getChassisCapabilities,
  getChassisStatus,
  getPohCounter,
  getSystemRestartCause,
  setPowerRestorePolicy,
  fruData,
  getFruInventoryAreaInfo,
  alertImmediate,
  armPefPostponeTimer,
  getPefCapabilities,
  lanDestination,
  lastProcessedEvent,
  pefParameters,
  petAcknowledge,
  getDeviceSdrInfo,
  getSdrRepositoryAllocationInfo,
  getSdrRepositoryInfo,
  getSdr,
  addSelEntry,
  clearSel,
  deleteSelEntry,
  getSelAllocationInfo,
  getSelEntry,
  getSelInfo,
  reserveSel,
  selTime,
  eventReceiver,
  getSensorReadingFactors,
  getSensorReading,
  platformEvent,
  sensorEventEnable,
  sensorEventStatus,
  sensorHysteresis,
  sensorThresholds,
  sensorType,
];

export type AnyCommand = IpmiCommand<never, unknown>;

function isCommand(value: unknown): value is AnyCommand {
  return (
    typeof value === "object" &&
    value !== null &&
    "netFn" in value &&
    "command" in value &&
    "decode" in value &&
    typeof value.decode === "function"
  );
}

export const ALL_COMMANDS: readonly AnyCommand[] = MODULES.flatMap((module) =>
  Object.values(module).filter(isCommand),
);
