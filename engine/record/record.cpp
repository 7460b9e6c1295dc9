#include "engine/record/record.h"
