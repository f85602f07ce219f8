//! Opening the device that a model runs on.

use candle_core::Device;

use crate::model::device::{DeviceChoice, DeviceError};
use crate::model::files::encoding::first_line;

/// A device and its name.
pub struct OpenedDevice {
    pub device: Device,
    /// `cpu`, or `cuda:` and the index.
    pub name: String,
}

impl OpenedDevice {
    /// Opens the requested device.
    ///
    /// # Errors
    /// [`DeviceError`] if it can't be used.
    pub fn open(choice: DeviceChoice) -> Result<Self, DeviceError> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Cuda(number) => cuda(number),
            DeviceChoice::Auto => Ok(cuda(0).unwrap_or_else(|_| Self::cpu())),
        }
    }

    /// The CPU.
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, name: "cpu".to_owned() }
    }

    /// Whether it is the CPU.
    pub fn is_cpu(&self) -> bool {
        self.device.is_cpu()
    }
}

fn cuda(number: usize) -> Result<OpenedDevice, DeviceError> {
    if !cfg!(feature = "cuda") {
        return Err(DeviceError::NoCuda { number });
    }
    match Device::new_cuda(number) {
        Ok(device) => Ok(OpenedDevice { device, name: format!("cuda:{number}") }),
        Err(error) => Err(DeviceError::Cuda { number, reason: first_line(&error) }),
    }
}
