// SPDX-License-Identifier: Apache-2.0
#include "networks.h"

// Each network is built here from the tables of its publication, independently of the shipped file, and compared with
// the file layer by layer. The builders are checked in turn by totals that others have published.

namespace convbwd {
namespace {

/// Krizhevsky 2014, one tower. Its first layer is padded by 2, less than half its filter.
Network alexnet() {
  Network network;
  network.add({.C = 3, .H = 224, .K = 64, .R = 11, .stride = 4, .pad = 2});
  network.add({.C = 64, .H = 27, .K = 192, .R = 5});
  network.add({.C = 192, .H = 13, .K = 384, .R = 3});
  network.add({.C = 384, .H = 13, .K = 256, .R = 3});
  network.add({.C = 256, .H = 13, .K = 256, .R = 3});
  return network;
}

/// Simonyan & Zisserman 2014, table 1, column D: filters of each block; pooling halves the image after it.
Network vgg16() {
  Network network;
  Dim channels = 3, image = 224;
  for (const auto& block : {std::vector<Dim>{64, 64}, {128, 128}, {256, 256, 256}, {512, 512, 512}, {512, 512, 512}}) {
    for (Dim filters : block) {
      network.add({.C = channels, .H = image, .K = filters, .R = 3});
      channels = filters;
    }
    image /= 2;
  }
  return network;
}

/// Szegedy et al. 2014, table 1.
Network googlenet() {
  struct Inception {
    Dim image, one, reduce_3, three, reduce_5, five, pool;
  };
  static constexpr Inception kModules[] = {
      {28, 64, 96, 128, 16, 32, 32},     {28, 128, 128, 192, 32, 96, 64},  {14, 192, 96, 208, 16, 48, 64},
      {14, 160, 112, 224, 24, 64, 64},   {14, 128, 128, 256, 24, 64, 64},  {14, 112, 144, 288, 32, 64, 64},
      {14, 256, 160, 320, 32, 128, 128}, {7, 256, 160, 320, 32, 128, 128}, {7, 384, 192, 384, 48, 128, 128},
  };
  Network network;
  network.add({.C = 3, .H = 224, .K = 64, .R = 7, .stride = 2});
  network.add({.C = 64, .H = 56, .K = 64, .R = 1});
  network.add({.C = 64, .H = 56, .K = 192, .R = 3});
  Dim channels = 192;
  for (const auto& [image, one, reduce_3, three, reduce_5, five, pool] : kModules) {
    for (Dim filters : {one, reduce_3, reduce_5, pool}) network.add({.C = channels, .H = image, .K = filters, .R = 1});
    network.add({.C = reduce_3, .H = image, .K = three, .R = 3});
    network.add({.C = reduce_5, .H = image, .K = five, .R = 5});
    channels = one + three + five + pool;
  }
  EXPECT_EQ(channels, 1024);
  return network;
}

/// He et al. 2015, table 1, 50 layers, in version 1.5: the stride of a stage is on its first 3x3. From where the image
/// would become smaller than 1/output_stride, stages dilate instead, each from its second block on.
Network resnet50(Dim image = 224, Dim width = 64, Dim groups = 1, Dim output_stride = 32) {
  Network network;
  const Dim smallest = image / output_stride;
  image = network.add({.C = 3, .H = image, .K = 64, .R = 7, .stride = 2}) / 2;
  Dim channels = 64, filters = 256, dilation = 1;
  for (Dim blocks : {3, 4, 6, 3}) {
    const bool halves = filters > 256 && image > smallest;
    const Dim dilation_after = filters > 256 && !halves ? 2 * dilation : dilation;
    for (Dim block = 0; block < blocks; ++block) {
      const Dim stride = block == 0 && halves ? 2 : 1;
      network.add({.C = channels, .H = image, .K = width, .R = 1});
      const Dim output = network.add(
          {.C = width, .H = image, .K = width, .R = 3, .stride = stride, .G = groups, .dilation = dilation});
      network.add({.C = width, .H = output, .K = filters, .R = 1});
      if (block == 0) network.add({.C = channels, .H = image, .K = filters, .R = 1, .stride = stride});
      channels = filters;
      image = output;
      dilation = dilation_after;
    }
    width *= 2;
    filters *= 2;
  }
  return network;
}

/// Sandler et al. 2018, table 2.
Network mobilenet_v2() {
  struct Stage {
    Dim expansion, filters, blocks, stride;
  };
  static constexpr Stage kStages[] = {
      {1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
  };
  Network network;
  Dim image = network.add({.C = 3, .H = 224, .K = 32, .R = 3, .stride = 2});
  Dim channels = 32;
  for (const auto& [expansion, filters, blocks, stride] : kStages)
    for (Dim block = 0; block < blocks; ++block) {
      const Dim wide = expansion * channels;
      if (expansion > 1) network.add({.C = channels, .H = image, .K = wide, .R = 1});
      image = network.add({.C = wide, .H = image, .K = wide, .R = 3, .stride = block == 0 ? stride : 1, .G = wide});
      network.add({.C = wide, .H = image, .K = filters, .R = 1});
      channels = filters;
    }
  network.add({.C = channels, .H = image, .K = 1280, .R = 1});
  return network;
}

/// Tan & Le 2019, table 1; a block squeezes to a quarter of its input's channels.
Network efficientnet_b0() {
  struct Stage {
    Dim expansion, filter, filters, blocks, stride;
  };
  static constexpr Stage kStages[] = {
      {1, 3, 16, 1, 1},  {6, 3, 24, 2, 2},  {6, 5, 40, 2, 2},  {6, 3, 80, 3, 2},
      {6, 5, 112, 3, 1}, {6, 5, 192, 4, 2}, {6, 3, 320, 1, 1},
  };
  Network network;
  Dim image = network.add({.C = 3, .H = 224, .K = 32, .R = 3, .stride = 2});
  Dim channels = 32;
  for (const auto& [expansion, filter, filters, blocks, stride] : kStages)
    for (Dim block = 0; block < blocks; ++block) {
      const Dim wide = expansion * channels;
      if (expansion > 1) network.add({.C = channels, .H = image, .K = wide, .R = 1});
      image =
          network.add({.C = wide, .H = image, .K = wide, .R = filter, .stride = block == 0 ? stride : 1, .G = wide});
      network.add({.C = wide, .H = 1, .K = channels / 4, .R = 1});
      network.add({.C = channels / 4, .H = 1, .K = wide, .R = 1});
      network.add({.C = wide, .H = image, .K = filters, .R = 1});
      channels = filters;
    }
  network.add({.C = channels, .H = image, .K = 1280, .R = 1});
  return network;
}

/// Liu et al. 2022, table 9, ConvNeXt-T.
Network convnext_tiny() {
  struct Stage {
    Dim patch, width, blocks;
  };
  static constexpr Stage kStages[] = {
      {4, 96, 3},
      {2, 192, 3},
      {2, 384, 9},
      {2, 768, 3},
  };
  Network network;
  Dim channels = 3, image = 224;
  for (const auto& [patch, width, blocks] : kStages) {
    image = network.add({.C = channels, .H = image, .K = width, .R = patch, .stride = patch, .pad = 0});
    for (Dim block = 0; block < blocks; ++block) {
      network.add({.C = width, .H = image, .K = width, .R = 7, .G = width});
      network.add({.C = width, .H = image, .K = 4 * width, .R = 1});
      network.add({.C = 4 * width, .H = image, .K = width, .R = 1});
    }
    channels = width;
  }
  return network;
}

/// Huang et al. 2016, table 1, DenseNet-121.
Network densenet121() {
  constexpr Dim kGrowth = 32;
  Network network;
  network.add({.C = 3, .H = 224, .K = 64, .R = 7, .stride = 2});
  Dim channels = 64;
  for (const auto& [image, layers] : {std::pair<Dim, Dim>{56, 6}, {28, 12}, {14, 24}, {7, 16}}) {
    for (Dim layer = 0; layer < layers; ++layer, channels += kGrowth) {
      network.add({.C = channels, .H = image, .K = 4 * kGrowth, .R = 1});
      network.add({.C = 4 * kGrowth, .H = image, .K = kGrowth, .R = 3});
    }
    if (image == 7) break;
    network.add({.C = channels, .H = image, .K = channels / 2, .R = 1});
    channels /= 2;
  }
  EXPECT_EQ(channels, 1024);
  return network;
}

/// Ronneberger et al. 2015, figure 1.
Network unet() {
  Network network;
  Dim channels = 1, image = 572;
  const auto two_convolutions = [&](Dim filters) {
    image = network.add({.C = channels, .H = image, .K = filters, .R = 3, .pad = 0});
    image = network.add({.C = filters, .H = image, .K = filters, .R = 3, .pad = 0});
    channels = filters;
  };
  for (Dim filters : {64, 128, 256, 512}) {
    two_convolutions(filters);
    image /= 2;
  }
  two_convolutions(1024);
  for (Dim filters : {512, 256, 128, 64}) {
    image *= 2;
    network.add({.C = filters, .H = image, .K = channels, .R = 2, .stride = 2, .pad = 0});
    two_convolutions(filters);  // on as many channels from the contracting path as from below
  }
  EXPECT_EQ(network.add({.C = channels, .H = image, .K = 2, .R = 1}), 388);
  return network;
}

/// Chen et al. 2017, figure 5 on ResNet-50, as torchvision builds it.
Network deeplab_v3() {
  Network network = resnet50(520, 64, 1, 8);
  constexpr Dim kImage = 520 / 8, kFilters = 256;
  network.add({.C = 2048, .H = kImage, .K = kFilters, .R = 1});
  for (Dim rate : {12, 24, 36}) network.add({.C = 2048, .H = kImage, .K = kFilters, .R = 3, .dilation = rate});
  network.add({.C = 2048, .H = 1, .K = kFilters, .R = 1});
  network.add({.C = 5 * kFilters, .H = kImage, .K = kFilters, .R = 1});
  network.add({.C = kFilters, .H = kImage, .K = kFilters, .R = 3});
  network.add({.C = kFilters, .H = kImage, .K = 21, .R = 1});
  return network;
}

TEST(ShippedWorkloads, AlexNet) { expect_shipped("alexnet", alexnet(), 655'566'528); }
TEST(ShippedWorkloads, Vgg16) { expect_shipped("vgg16", vgg16(), 15'346'630'656); }
TEST(ShippedWorkloads, GoogLeNet) { expect_shipped("googlenet", googlenet(), 1'581'647'872); }
TEST(ShippedWorkloads, ResNet50) { expect_shipped("resnet50", resnet50(), 4'087'136'256); }
TEST(ShippedWorkloads, ResNext50) { expect_shipped("resnext50_32x4d", resnet50(224, 128, 32), 4'228'431'872); }
TEST(ShippedWorkloads, DenseNet121) { expect_shipped("densenet121", densenet121(), 2'833'137'664); }
TEST(ShippedWorkloads, MobileNetV2) { expect_shipped("mobilenet_v2", mobilenet_v2(), 299'494'272); }
TEST(ShippedWorkloads, EfficientNetB0) { expect_shipped("efficientnet_b0", efficientnet_b0(), 384'534'752); }
TEST(ShippedWorkloads, ConvNextTiny) { expect_shipped("convnext_tiny", convnext_tiny(), 4'454'763'264); }
TEST(ShippedWorkloads, UNet) { expect_shipped("unet", unet(), 150'428'424'448); }
TEST(ShippedWorkloads, DeepLabV3) { expect_shipped("deeplab_v3", deeplab_v3(), 168'731'205'888); }

/// torchvision publishes the billions of multiply-adds of whole networks, to three digits behind the point. Its
/// GoogLeNet is another one (3x3 in place of 5x5), and it has no U-Net.
TEST(Networks, SumsAgreeWithTorchvision) {
  Network deeplab_with_auxiliary_classifier = deeplab_v3();
  deeplab_with_auxiliary_classifier.add({.C = 1024, .H = 65, .K = 256, .R = 3});
  deeplab_with_auxiliary_classifier.add({.C = 256, .H = 65, .K = 21, .R = 1});
  struct Case {
    Network network;
    Dim classifier;
    double published;
  };
  const Case cases[] = {
      {alexnet(), 9216 * 4096 + 4096 * 4096 + 4096 * 1000, 0.714},
      {vgg16(), 25088 * 4096 + 4096 * 4096 + 4096 * 1000, 15.470},
      {resnet50(), 2048 * 1000, 4.089},
      {resnet50(224, 128, 32), 2048 * 1000, 4.230},
      {densenet121(), 1024 * 1000, 2.834},
      {mobilenet_v2(), 1280 * 1000, 0.301},
      {efficientnet_b0(), 1280 * 1000, 0.386},
      {convnext_tiny(), 768 * 1000, 4.456},
      {deeplab_with_auxiliary_classifier, 0, 178.722},
  };
  for (const auto& [network, classifier, published] : cases)
    EXPECT_NEAR(static_cast<double>(network.macs + classifier) / 1e9, published, 0.0005);
}

}  // namespace
}  // namespace convbwd
