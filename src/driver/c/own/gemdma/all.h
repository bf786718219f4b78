/* SPDX-License-Identifier: MIT */
#include <gemdma/drm.h>
#include <gemdma/net.h>
