// tests/golden/made_weights.h: weights of networks that are too large to be stored.
#pragma once

#include <string>

#include "bindings/import/keras_description.h"

namespace qloom::golden {

/// Gives the model the weights that its makers gave it (shared/models/make_large.py): element i of
/// tensor t, in the order of the layers, is a function of t and i; means and variances of batch
/// normalizations are the arrays "LAYER/mean" and "LAYER/variance" of `norm`, an .npz file. Throws
/// UserError for a variable that the recipe does not name.
void make_weights(KerasModel& model, const std::string& norm);

}  // namespace qloom::golden
