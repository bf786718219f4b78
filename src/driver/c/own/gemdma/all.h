/* SPDX-License-Identifier: MIT */
#include <gemdma/net.h>
